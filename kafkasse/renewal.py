"""When a client of librdkafka is given up for a new one: docs/adr/0025-clients-that-lost-all-brokers.md.

A broker that has just come back may answer that there are topics, and no brokers.  librdkafka (2.10 to 2.16) then forgets
all that it knew, those of `bootstrap.servers` included, and connects to nothing any more, for as long as the process lives.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kafkasse import deadline

if TYPE_CHECKING:
    from confluent_kafka import KafkaException

PATIENCE = 5.0
"""Seconds without an answer, after which a client that has had some is given up."""
UNUSED = 2 * deadline.SECONDS
"""Seconds after which nobody asks a client any more that was given up."""


class Renewal:
    """What is known of the answers that one client gets.

    One that never got any is not given up: it has only the brokers of its configuration, and does not forget those.  So
    there is one new client for each time that Kafka is away, however long.
    """

    def __init__(self) -> None:
        self._answered = False
        self._missing_since: float | None = None

    def came(self) -> None:
        """Take note of an answer."""
        self._answered, self._missing_since = True, None

    def missing(self, now: float) -> bool:
        """Take note of a question without an answer; say whether the client is to be given up.

        `now` is the time of a clock in seconds.
        """
        if self._missing_since is None:
            self._missing_since = now
        return self._answered and now - self._missing_since >= PATIENCE

    def failed(self, error: KafkaException, now: float) -> bool:
        """Take note of an error; say whether the client is to be given up.

        What a broker says is an answer, also where it says no; librdkafka's own errors have negative numbers.
        """
        if error.args[0].code() < 0:
            return self.missing(now)
        self.came()
        return False


def give_up(*clients: Any) -> None:
    """Let go of clients in a thread, later: some may be in use, and their end may take long, or for ever."""
    timer = threading.Timer(UNUSED, _end, [[*clients]])
    timer.daemon = True
    timer.start()


def _end(clients: list[Any]) -> None:
    while clients:
        client = clients.pop()
        if hasattr(client, "close"):  # an admin client ends with its last reference
            client.close()
