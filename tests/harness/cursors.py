"""Cursors of one topic, for tests that make one up or look into one."""

from collections.abc import Iterable, Mapping

from kafkasse import cursor
from kafkasse.stream import Stream


def event_id(topic: str, positions: Mapping[int, int], topic_id: str = "") -> str:
    """Return the cursor of a client of one topic, to which Kafka gave `topic_id`; the mock cluster gives none."""
    stream = Stream((topic,)).tagged({topic: cursor.tag(topic, topic_id)})
    return stream.event_id({(topic, partition): position for partition, position in positions.items()})


def positions_of(text: str) -> dict[int, int]:
    """Return the positions of a cursor that names one topic."""
    (found,) = cursor.decode(text).positions.values()
    return dict(found)


def chained(topic: str) -> str:
    """Return what the names of the channels of a topic that has no id begin with."""
    return f"{topic}:{cursor.tag(topic)}"


def channels_of(topic: str, partitions: Iterable[int], prefix: str = "") -> list[str]:
    """Return the channels of a hold on partitions of a topic that has no id, in order."""
    return [
        f"{prefix}{name}"
        for name in (*(f"{chained(topic)}:{each}" for each in partitions), f"{topic}:~", "~")
    ]
