"""`manage.py broker`: a Kafka that needs no installation, for the demo.

librdkafka's mock cluster lives in a producer's memory.  It answers on a real port of 127.0.0.1: produce, fetch, consumer
groups and committed offsets.  Topics come into being when they are asked for; nothing outlives the process.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException, Producer
from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay.shutdown import stop_on_signal

TIMEOUT = 10.0
"""Seconds that the cluster, which is in this very process, may take to say where it is."""


class Command(BaseCommand):
    """Start, say where, wait."""

    # They are about the application, which reads its configuration after this one has said where Kafka is.
    requires_system_checks = ()
    help = "Runs an embedded Kafka broker, its records in memory; prints its address, and ends with a signal."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the names of topics."""
        parser.add_argument("topics", nargs="*", help="topics to begin with, empty, of four partitions each")

    def handle(self, *args: Any, topics: list[str], **options: Any) -> None:
        """Write `host:port` as the only line of standard output; run until SIGTERM or SIGINT."""
        with stop_on_signal() as stop:
            # What lives in it lives as long as it is referred to.  Its log would be of its own connections.
            owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
            try:
                for name in topics:
                    create(owner, name)
            except KafkaException as error:
                raise CommandError(f"A topic cannot be created: {error.args[0].str()}") from error
            self.stdout.write(bootstrap(owner))
            self.stdout.flush()
            stop.wait()
            del owner


def bootstrap(owner: Producer) -> str:
    """Return the addresses of the mock cluster that `owner` holds; librdkafka chooses the ports."""
    known = owner.list_topics(timeout=TIMEOUT).brokers.values()
    return ",".join(f"{broker.host}:{broker.port}" for broker in known)


def create(owner: Producer, name: str) -> None:
    """Bring a topic into being, with four partitions; raise `KafkaException` for a name that Kafka would not take.

    The mock cluster has no call for it: a topic is there once it has been asked for.
    """
    if error := owner.list_topics(name, timeout=TIMEOUT).topics[name].error:
        raise KafkaException(error)
