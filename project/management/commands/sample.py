"""`manage.py sample`: something to watch, written to Kafka until a signal says stop."""

from __future__ import annotations

import json
import logging
import random
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer
from django.core.management.base import BaseCommand

from kafkasse.conf import conf
from relay.shutdown import stop_on_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import KafkaError, Message

logger = logging.getLogger(__name__)

CLICKS, PRICES = "demo.clicks", "demo.prices"
INTERVAL = 0.4
"""Seconds between two rounds; each round writes to both topics."""
FLUSH_TIMEOUT = 1.0

DEFAULTS: dict[str, Any] = {
    # A sample that is late is no sample; so the queue stays short however long Kafka is away.
    "message.timeout.ms": 5000,
    "reconnect.backoff.max.ms": 1000,
    # The consumer's settings, which it shares, would each be warned about.  `Sample` says what goes wrong.
    "log_level": 2,
}

PAGES = ("/", "/pricing/", "/docs/", "/docs/resume/", "/blog/", "/cart/", "/checkout/")
VISITORS = ("Ada", "Blaise", "Chien-Shiung", "Dennis", "Emmy", "Frances", "Grace", "Katherine")
START_PRICES = {"TEA": 12.0, "COFFEE": 31.0, "COCOA": 84.0}

Sample = tuple[str, str, dict[str, Any]]
"""Topic, key, value."""


class Command(BaseCommand):
    """Parse, produce, end."""

    help = f"Writes made-up clicks to the topic {CLICKS}, and prices to {PRICES}, until a signal says stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Write every 0.4 s, whether or not Kafka is there."""
        writer = Writer(conf.KAFKA_CONSUMER_CONFIG)
        rounds = samples(random.Random(), time.time)  # noqa: S311
        with stop_on_signal() as stop:
            while not stop.is_set():
                for sample in next(rounds):
                    writer.write(*sample)
                writer.serve()
                stop.wait(INTERVAL)
        writer.close()


def samples(chance: random.Random, clock: Any) -> Iterator[list[Sample]]:
    """Yield, without end, what one round writes: a click or more, and every price, walking at random."""
    prices = dict(START_PRICES)
    while True:
        now = round(clock(), 3)
        clicks: list[Sample] = [
            (
                CLICKS,
                who := chance.choice(VISITORS),
                {"visitor": who, "page": chance.choice(PAGES), "time": now},
            )
            for _ in range(chance.randint(1, 3))
        ]
        for name, price in prices.items():
            # By 1 % at the most, and back towards the start, so that it neither vanishes nor explodes in a week.
            pull = (START_PRICES[name] - price) / START_PRICES[name]
            prices[name] = round(price * (1 + chance.uniform(-0.01, 0.01) + 0.002 * pull), 2)
        yield clicks + [
            (PRICES, name, {"name": name, "price": price, "time": now}) for name, price in prices.items()
        ]


class Writer:
    """Writes to Kafka as long as it is there, and says once when it is not."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._producer = Producer({**DEFAULTS, **config, "error_cb": lambda _error: None})
        self._failing = False

    def write(self, topic: str, key: str, value: dict[str, Any]) -> None:
        """Hand one record over to librdkafka; one that finds the queue full is left out."""
        try:
            self._producer.produce(topic, json.dumps(value), key, on_delivery=self._delivered)
        except BufferError as error:
            self._say(str(error))

    def serve(self) -> None:
        """Take notice of what has been delivered, and what has not."""
        self._producer.poll(0)

    def close(self) -> None:
        """Give the last records a second."""
        self._producer.flush(FLUSH_TIMEOUT)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._say(f"{message.topic()}: {error.str()}")
        elif self._failing:
            logger.info("Samples are written again", extra={"action": "sample"})
            self._failing = False

    def _say(self, reason: str) -> None:
        if not self._failing:
            logger.warning("Samples are not written: %s; trying on", reason, extra={"action": "sample"})
        self._failing = True
