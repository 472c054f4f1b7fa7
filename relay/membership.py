"""Subscribing to all public topics, as a static member of the group (docs/adr/0010-subscribe-twice.md)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer, TopicPartition

    from relay.commits import Commits
    from relay.resting import Resting

ASSIGNMENT_SECONDS = 10.0
"""After so long without a partition there were none: the group needs some of it to form."""
CLOSE_SECONDS = 3.0
"""How long the end of the session may take."""


class Membership:
    """A session of the group; `callbacks` are librdkafka's, for partitions that are assigned, revoked and lost."""

    def __init__(
        self,
        consumer: Consumer,
        pattern: str,
        callbacks: tuple[Callable[[Consumer, list[TopicPartition]], None], ...],
    ) -> None:
        self._consumer, self._pattern, self._callbacks = consumer, pattern, callbacks
        self._new_session, self._new_group = True, False
        self._began = float("inf")

    def begin(self, *, new_group: bool = False) -> None:
        """Subscribe."""
        self._new_group, self._began = new_group, time.monotonic()
        self._consumer.subscribe([f"^({self._pattern})$"], *self._callbacks)

    def renew(self, *, has_partitions: bool) -> None:
        """Find topics and partitions that appeared while the relay was away; to be called all the time, acts once.

        A static member that is back in time gets the partitions that it had, without a look at what there is now.  What
        a new group assigns first is new, and a second look would cost it another round.
        """
        nothing_for_long = time.monotonic() - self._began > ASSIGNMENT_SECONDS
        if self._new_session and (has_partitions or nothing_for_long):
            self._new_session = False
            if not (self._new_group and has_partitions):
                self._consumer.unsubscribe()
                self.begin()


def end(consumer: Consumer, commits: Commits, resting: Resting) -> threading.Thread:
    """End a session in a thread: librdkafka waits for a commit that nobody will answer."""

    def ended() -> None:
        resting.close()
        commits.finish(consumer, CLOSE_SECONDS / 2)
        consumer.close()

    ending = threading.Thread(target=ended, name="relay-end", daemon=True)
    ending.start()
    return ending
