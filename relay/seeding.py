"""The first start of a group: it begins at the end of every log, so that it does not publish history."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from kafkasse import topics
from kafkasse.offsets import LATEST, committed, ends
from relay.consumer_config import TIMEOUT

if TYPE_CHECKING:
    from confluent_kafka import Consumer

logger = logging.getLogger(__name__)


def seed(consumer: Consumer, pattern: str) -> bool:
    """Commit the end of every log, unless the group has committed a position in any topic; say whether it was done.

    A group that has is not new: what has appeared since begins at its first record.  Raises what librdkafka raises when
    Kafka does not answer.
    """
    known = consumer.list_topics(timeout=TIMEOUT).topics
    asked = [
        TopicPartition(name, partition)
        for name, topic in known.items()
        if topics.is_public(name, pattern)
        for partition in topic.partitions
    ]
    if not asked or any(found is not None for found in committed(consumer, asked, TIMEOUT).values()):
        return False
    found = ends(consumer, asked, LATEST, TIMEOUT)
    try:
        offsets = [TopicPartition(*key, offset=end) for key, end in found.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        # The group has members: another relay has seeded it a moment ago.
        logger.debug("Not seeded: %s", error)
        return False
    logger.info("New group: starting at the end of %d partitions", len(found), extra={"action": "seed"})
    return True
