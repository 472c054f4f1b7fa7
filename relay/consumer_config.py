"""How the relay's consumer is configured: its defaults, below KAFKA_CONSUMER_CONFIG, and what it owns, above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException

from kafkasse.positions import refused
from relay.complaints import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT = 2.0
"""Seconds after which Kafka counts as absent; a stop at the start is noticed only then, and is to end within 5."""

DEFAULTS: dict[str, Any] = {
    # librdkafka's default of 1000 makes a reader whose queue was full sleep for a second.
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,
    # A topic is found when the metadata is refreshed; its first record is to be seen within 10 s.
    "topic.metadata.refresh.interval.ms": 5000,
    # How long the partitions of a relay that died stand still; 6 s is the least that brokers accept by default.
    "session.timeout.ms": 6000,
    # The others hear of it with their next heartbeat.
    "heartbeat.interval.ms": 500,
    "reconnect.backoff.max.ms": 1000,
    # What goes wrong with the brokers is said once, by `Source`, not for each attempt.
    "log_level": 2,
    "log.connection.close": False,
}
OWNED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A position that the log has not is seen, and the chain broken there, so that clients are told.
    "auto.offset.reset": "error",
    # Records of a transaction that is aborted were never written.
    "isolation.level": "read_committed",
    "group.protocol": "classic",
    "partition.assignment.strategy": "cooperative-sticky",
    "allow.auto.create.topics": False,
    "topic.blacklist": "^__,^_schemas$,^_schema_encoders$,^_confluent,^_redpanda",
}


def member(config: Mapping[str, Any], instance: str, callbacks: Mapping[str, Any]) -> Consumer:
    """Return a consumer that is to be a static member of the group; `callbacks` are librdkafka's.

    Raises `ConfigurationError` for a setting that librdkafka does not know or take.
    """
    owned = {**OWNED, "group.instance.id": instance, "logger": SILENT}
    try:
        return Consumer({**config, **owned, **callbacks})
    except (KafkaException, TypeError, ValueError) as error:
        raise refused(error) from error
