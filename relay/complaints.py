"""What Kafka complains of: said once for each kind, since some of it mends itself, and some of it never does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import KafkaError, KafkaException

from kafkasse.exceptions import KafkaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

T = TypeVar("T")
logger = logging.getLogger(__name__)

SILENT = logging.getLogger("relay.librdkafka")
SILENT.setLevel(logging.CRITICAL + 1)
"""For librdkafka's own lines: what it says of an error that ends the relay is said by the exception, too."""
REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # noqa: SLF001 - librdkafka's own names
"""What keeps the relay from the brokers until somebody corrects its configuration."""


class Complaints:
    """Which kinds of errors have been said."""

    def __init__(self) -> None:
        self._said: set[int] = set()

    def say(self, error: KafkaError) -> None:
        """Log `error`, unless one of its kind has been."""
        if error.code() not in self._said:
            self._said.add(error.code())
            logger.warning("Kafka says: %s", error.str(), extra={"action": "complain"})


def retried(call: Callable[[], T], stop: Event) -> T:
    """Return what `call` does, in spite of a broker that goes away right after the group was formed.

    Raises `KafkaUnavailableError` when `stop` is set first.
    """
    said = False
    while True:
        try:
            return call()
        except KafkaException as error:
            if not said:
                logger.warning("Positions cannot be looked up yet: %s", error, extra={"action": "assign"})
            said = True
            if stop.wait(0.2):  # librdkafka answers at once while it has no connection
                raise KafkaUnavailableError from error
