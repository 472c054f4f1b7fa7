"""Whether Kafka can be reached, and whether this relay may go on: said once for each change."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException

from kafkasse.exceptions import FencedError
from kafkasse.renewal import Renewal
from relay.complaints import REFUSALS, Complaints

if TYPE_CHECKING:
    from confluent_kafka import Message

logger = logging.getLogger(__name__)

BACK_SECONDS = 30.0
"""For how long after Kafka has come back it may take this relay for another one."""
DOUBT_SECONDS = 5.0
"""How often a consumer without partitions is asked whether it reaches the brokers: it may not say so by itself."""
ANSWER_SECONDS = 0.5
"""How long an answer is waited for: much longer than one takes over a slow line, as nothing else is done meanwhile."""


class Connection:
    """What librdkafka says of the brokers; it tries on by itself."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._fatal: KafkaError | None = None
        self._started = False
        self._unreachable = False
        self._told = False
        self._back = float("-inf")
        self._renewal = Renewal()
        self._next_question = time.monotonic() + DOUBT_SECONDS

    def started(self) -> None:
        """Take note that Kafka has answered for the first time; until then the runner says that it does not."""
        self._started = True

    def failed(self) -> None:
        """Take note that Kafka did not answer."""
        self._unreachable = True

    @property
    def is_away(self) -> bool:
        """Whether Kafka cannot be reached, as far as is known."""
        return self._unreachable

    def take(self, error: KafkaError) -> None:
        """Take note of an error, from librdkafka's callback or in the place of a record."""
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._fatal = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            # It may have waited for this call since before an answer: whether it still holds is asked.
            self._told = True
        elif error.code() in REFUSALS:
            self._complaints.say(error)

    @property
    def _in_doubt(self) -> bool:
        return self._unreachable or self._told

    def _say_away(self) -> None:
        if self._started and not self._unreachable:
            logger.warning("Kafka cannot be reached, trying on", extra={"action": "connect"})
        self._unreachable = True

    def _say_back(self, now: float) -> None:
        if self._unreachable:
            logger.info("Kafka is back", extra={"action": "connect"})
        self._unreachable, self._back = False, now

    def look_after(
        self, consumer: Consumer, message: Message | None = None, *, has_partitions: bool = True
    ) -> str:
        """Return why the consumer is to be made anew, or nothing; raise what is fatal.

        When Kafka has come back, as `message` may prove, that is logged.
        """
        now = time.monotonic()
        if self._fatal:
            return self._doubted(self._fatal, now)
        in_doubt = self._in_doubt
        # Nor does a record prove anything against the news: it may have waited for as long.
        is_fine = message is not None and not message.error() and not self._told
        self._told = False
        if not in_doubt and (is_fine or has_partitions):
            self._renewal.came()
            return ""
        if not in_doubt and now < self._next_question:
            return ""
        self._next_question = now + DOUBT_SECONDS
        if is_fine or _answers(consumer):
            self._renewal.came()
            if in_doubt:
                self._say_back(now)
            return ""
        self._say_away()
        return "Kafka has not answered for long" if self._renewal.missing(now) else ""

    def _doubted(self, fatal: KafkaError, now: float) -> str:
        """Return why a fatal error is not believed; raise it where it is.

        A coordinator that could not write down who the members are, before it ended, knows earlier ones when it comes back,
        and takes the present one for a newcomer.  Where there is another relay, it says so again.
        """
        if "fenced" not in fatal.str().lower() and fatal.code() != KafkaError.FENCED_INSTANCE_ID:
            raise KafkaException(fatal)
        if not self._in_doubt and now - self._back > BACK_SECONDS:
            raise FencedError
        return "Kafka, just back, takes another relay for this one"


def _answers(consumer: Consumer) -> bool:
    """Say whether Kafka does."""
    try:
        consumer.list_topics("", timeout=ANSWER_SECONDS)
    except KafkaException:
        return False
    return True
