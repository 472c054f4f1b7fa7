"""Partitions to which nobody listens: they are not fetched, and their position follows the end of the log."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kafkasse.offsets import LATEST, ends
from kafkasse.renewal import Renewal, give_up

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, MutableMapping

    from kafkasse.topics import Key

LOOK = 0.1
"""Seconds from one look at the ends of the logs to the next, at least: how far the committed positions lag behind."""
SHARE = 20
"""A look that took long is followed by a pause of so many times as long: thousands of partitions are some work for Kafka."""
LONGEST = 5.0
"""Seconds that such a pause lasts at most."""
TIMEOUT = 1.0
"""How many seconds Kafka may take to tell them; the end of the relay waits for it."""


class Resting:
    """The partitions of one consumer that rest.  For one thread; nothing blocks but `close`.

    The ends are asked for in a thread of their own, and by a consumer of their own, made of `config`: a question to one
    that another thread polls may wait for seconds, or for ever (librdkafka 2.16).
    """

    def __init__(self, consumer: Consumer, config: dict[str, Any]) -> None:
        self._consumer, self._config = consumer, config
        self._asking: Consumer | None = None
        self._renewal = Renewal()
        self._keys: set[Key] = set()
        self._changed: set[Key] = set()
        self._thread = ThreadPoolExecutor(1, "relay-ends")
        self._asked: Future[dict[Key, int]] | None = None
        self._next_look = float("-inf")
        self._took = 0.0

    def __contains__(self, key: object) -> bool:
        """Say whether a partition rests."""
        return key in self._keys

    def begin(self, keys: set[Key]) -> None:
        """Fetch nothing more of these partitions; what has been fetched and not read is dropped."""
        if new := keys - self._keys:
            self._consumer.pause(places(new))
            self._keys |= new
            self._changed |= new

    def end(self, keys: set[Key]) -> set[Key]:
        """Return those of the partitions that rested until now; whoever wakes them has to assign them again."""
        if woken := keys & self._keys:
            self._keys -= woken
            self._changed |= woken
            # The pause of a partition outlasts its assignment, and would be there again with the next one.
            self._consumer.resume(places(woken))
        return woken

    def grown(self, positions: MutableMapping[Key, int], now: float) -> dict[Key, int]:
        """Move resting partitions on to where their logs ended at the last look; return by how much, where they did.

        By 0 where one begins to rest, or has ended: that has to be known, too.  `now` is the time of a clock in seconds.
        """
        found = self._ends(now)
        more = {
            key: end - positions[key] for key, end in found.items() if key in self and end > positions[key]
        }
        positions.update({key: found[key] for key in more})
        changed, self._changed = self._changed, set()
        return dict.fromkeys(changed & positions.keys(), 0) | more

    def _ends(self, now: float) -> dict[Key, int]:
        """Return the answer to a look, if there is one; look again when that is due."""
        if self._asked is None:
            if self._keys and now >= self._next_look:
                self._asked = self._thread.submit(self._look, places(self._keys))
            return {}
        if not self._asked.done():
            return {}
        asked, self._asked = self._asked, None
        self._next_look = now + min(max(LOOK, SHARE * self._took), LONGEST)
        try:
            return asked.result()
        except KafkaException:
            return {}  # another look follows

    def _look(self, partitions: list[TopicPartition]) -> dict[Key, int]:
        is_connecting = self._asking is None
        if self._asking is None:
            self._asking, self._renewal = Consumer(self._config), Renewal()
        began = time.monotonic()
        try:
            # For readers of committed records, a log ends where the first open transaction begins.
            found = ends(self._asking, partitions, LATEST, TIMEOUT)
        except KafkaException as error:
            if self._renewal.failed(error, time.monotonic()):
                give_up(self._asking)
                self._asking = None
            raise
        finally:
            # How long it takes to connect says nothing about the work.
            self._took = 0.0 if is_connecting else time.monotonic() - began
        self._renewal.came()
        return found

    def close(self) -> None:
        """Wait for the look under way, and end what it takes."""
        self._thread.shutdown()
        if self._asking is not None:
            self._asking.close()


def read_from(consumer: Consumer, positions: Mapping[Key, int], keys: Collection[Key]) -> None:
    """Read partitions from their positions on.  Not by seek: where the log does not have its place, it takes none."""
    if keys:
        consumer.incremental_unassign(places(keys))
        consumer.incremental_assign([TopicPartition(*key, offset=positions[key]) for key in keys])


def places(keys: Iterable[Key]) -> list[TopicPartition]:
    """Return partitions as the client library wants them."""
    return [TopicPartition(*key) for key in keys]
