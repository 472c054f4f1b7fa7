"""Whether Kafka can be reached, and whether this relay may go on: said once for each change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException

from kafkasse.exceptions import FencedError
from relay.complaints import REFUSALS, Complaints

if TYPE_CHECKING:
    from confluent_kafka import Message

logger = logging.getLogger(__name__)


class Connection:
    """What librdkafka says of the brokers; it tries on by itself."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._fatal: KafkaError | None = None
        self._started = False
        self._unreachable = False

    def started(self) -> None:
        """Take note that Kafka has answered for the first time; until then the runner says that it does not."""
        self._started = True

    def failed(self) -> None:
        """Take note that Kafka did not answer."""
        self._unreachable = True

    def take(self, error: KafkaError) -> None:
        """Take note of an error, from librdkafka's callback."""
        if error.fatal():
            self._fatal = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and not self._unreachable:  # noqa: SLF001
            self._unreachable = True
            if self._started:
                logger.warning("Kafka cannot be reached, trying on", extra={"action": "connect"})
        elif error.code() in REFUSALS:
            self._complaints.say(error)

    def look_after(self, consumer: Consumer, message: Message | None = None) -> None:
        """Raise what is fatal; say it when Kafka has come back, as `message` may prove."""
        if self._fatal and self._fatal.code() == KafkaError.FENCED_INSTANCE_ID:
            raise FencedError
        if self._fatal:
            raise KafkaException(self._fatal)
        if self._unreachable and ((message is not None and not message.error()) or _answers(consumer)):
            self._unreachable = False
            logger.info("Kafka is back", extra={"action": "connect"})


def _answers(consumer: Consumer) -> bool:
    """Say whether Kafka does."""
    try:
        consumer.list_topics("", timeout=0.2)
    except KafkaException:
        return False
    return True
