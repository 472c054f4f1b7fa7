"""Questions to Kafka about offsets: where logs begin and end, and what a group has committed.

With a committed position goes a text, the tag of its topic, and behind it

- `~` where the partition rests: nobody listens to it, and its position follows the end of the log by looks now and then
  (docs/adr/0020-publish-what-is-listened-to.md);
- `*` where the relay has all partitions of the topic, and publishes them as one chain
  (docs/adr/0026-one-chain-for-a-whole-topic.md).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from kafkasse import deadline
from kafkasse.catalog import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Consumer

    from kafkasse.topics import Key

LATEST, EARLIEST = -1, -2  # ListOffsets' own names for the ends of the log
RESTS, WHOLE = "~", "*"


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's position in a partition.

    Where that `rests`, its log may have grown since, and nobody listened.  Where it is of a `whole` topic, that topic has a
    channel for all of its partitions.
    """

    position: int
    rests: bool = False
    whole: bool = False


def ends(
    consumer: Consumer, partitions: Iterable[TopicPartition], which: int, timeout: float
) -> dict[Key, int]:
    """Return where the log of each partition begins (`EARLIEST`) or ends (`LATEST`), by topic and partition.

    The log of a partition that does not exist is empty.  Blocks and raises as `offsets` does.
    """
    return {key: max(0, place) for key, place in offsets(consumer, partitions, which, timeout).items()}


def fetched_end(consumer: Consumer, key: Key) -> int:
    """Return where the log of a partition ended when `consumer` fetched from it last; negative before that.  Asks nobody."""
    return int(consumer.get_watermark_offsets(TopicPartition(*key), cached=True)[1])


def offsets(
    consumer: Consumer, partitions: Iterable[TopicPartition], at: int, timeout: float
) -> dict[Key, int]:
    """Return the offset of each partition's first record that was written at or after `at`, in milliseconds.

    By topic and partition, negative where there is none.  `at` may be `EARLIEST` or `LATEST`.  Blocks for `timeout`
    seconds at the most, and raises what librdkafka raises; so a partition without a leader is never taken for an empty
    one.
    """
    asked = [TopicPartition(each.topic, each.partition, at) for each in partitions]
    end = time.monotonic() + timeout
    try:
        found = consumer.offsets_for_times(asked, timeout) if asked else []
    except KafkaException as error:
        if error.args[0].code() not in UNKNOWN:
            raise
        if len(asked) == 1:
            return {(asked[0].topic, asked[0].partition): -1}
        # One of them, deleted a moment ago, spoils the answer for all.
        one_by_one = (offsets(consumer, [each], at, deadline.until(end)) for each in asked)
        return {key: place for found in one_by_one for key, place in found.items()}
    _raise_errors(found)
    return {(each.topic, each.partition): each.offset for each in found}


def _raise_errors(found: Iterable[TopicPartition]) -> None:
    """Raise what a broker says of one partition alone, unless that there is none."""
    for each in found:
        if each.error and each.error.code() not in UNKNOWN:
            raise KafkaException(each.error)


def metadata(tag: str, *, rests: bool, whole: bool = False) -> str:
    """Return the text that goes with a committed position; `committed` reads it."""
    return tag + rests * RESTS + whole * WHOLE


def committed(
    consumer: Consumer,
    partitions: list[TopicPartition],
    timeout: float,
    tags: Mapping[str, str] | None = None,
) -> dict[Key, Committed | None]:
    """Return the group's position in each partition, by topic and partition; None where it has committed none.

    `tags` are the topics' present ones: the relay commits them along, and a position that it had in an earlier topic of
    the name is none.  Without them, each counts.  Blocks for `timeout` seconds at the most, and raises what librdkafka
    raises; so a broker that cannot answer is never taken for a group that has no position.
    """
    found = consumer.committed(partitions, timeout)
    _raise_errors(found)
    return {(each.topic, each.partition): _committed(each, tags) for each in found}


def _committed(place: TopicPartition, tags: Mapping[str, str] | None) -> Committed | None:
    """Return a committed position, if it is one in the topic that there is now, as far as it says which it is of."""
    text = place.metadata or ""
    tag = text.rstrip(RESTS + WHOLE)
    if place.offset < 0 or (tags is not None and tag and tag != tags.get(place.topic)):
        return None
    return Committed(place.offset, RESTS in text, WHOLE in text)
