"""What an answer's body says: where the client starts, what is lost for it, and the records of a page.

Pure but for its vocabulary; a replayed event is written by `sse.record`, as the live one is.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from kafkasse import cursor, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafkasse.history import Page
    from kafkasse.stream import Stream
    from kafkasse.topics import Key


@dataclass(frozen=True, slots=True)
class Reset:
    """Continuity that cannot be proven: why, and for which partition; None speaks of the whole cursor."""

    reason: str
    topic: str | None = None
    partition: int | None = None
    requested: int | None = None
    resumed: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a client starts: its position in every partition, and what it has to be told first."""

    positions: dict[Key, int]
    resets: tuple[Reset, ...] = ()


def opening(stream: Stream, start: Start) -> str:
    """Return the first bytes of a stream: when to come back after a cut, and the starting cursor."""
    fields = {
        "topics": {tag: topic for topic, tag in stream.tags.items()},
        "partitions": len(start.positions),
    }
    opened = sse.notice("open", fields, stream.event_id(start.positions))
    return sse.retry() + opened + resets(stream, start)


def ending(stream: Stream, positions: Mapping[Key, int]) -> str:
    """Return the notice that the stream ends here, as it was asked to."""
    return sse.notice("end", {"reason": "until"}, stream.event_id(positions))


def resets(stream: Stream, start: Start) -> str:
    """Return a notice for each break in the client's sequence; its id is the cursor from which it goes on."""
    event_id = stream.event_id(start.positions)
    return "".join(sse.notice("reset", asdict(each), event_id) for each in start.resets)


def breaks(page: Page) -> tuple[Reset, ...]:
    """Return what is gone from the log of what `page` was to bring."""
    return tuple(_break(key, *places) for key, places in sorted(page.lost.items()))


def _break(key: Key, wanted: int, begin: int) -> Reset:
    """Return why a partition goes on elsewhere: its oldest records are gone, or its newest."""
    return Reset("retention" if begin > wanted else "ahead", *key, wanted, begin)


@dataclass(frozen=True, slots=True)
class Events:
    """Records as text, how many they are, and the positions that they lead to."""

    text: str
    records: int
    positions: dict[Key, int]


def events(stream: Stream, start: Mapping[Key, int], page: Page, max_bytes: int = sys.maxsize) -> Events:
    """Return the events of `page`, which was read from `start`; what is gone from the log is told before them.

    They end before the event with which they would be longer than `max_bytes`, unless that is the first.
    """
    lost = breaks(page)
    positions = {**start, **{key: begin for key, (_wanted, begin) in page.lost.items()}}
    parts = [resets(stream, Start(positions, lost))] if lost else []
    size, count = sum(map(len, parts)), 0
    for key, records in groupby(page.records, key=lambda record: (record.topic, record.partition)):
        # The partition's own entry may lag behind in the rest: each id names its own position before it.
        head, tail = cursor.head(stream.tags[key[0]], key[1]), "." + stream.rest(positions)
        for record in records:
            event_id = head + cursor.encode_number(record.offset + 1) + tail
            event = sse.record(event_id, record.value, record.key, record.headers)
            size += len(event) if event.isascii() else len(event.encode())
            if size > max_bytes and parts:
                return Events("".join(parts), count, positions)
            parts.append(event)
            count += 1
            positions[key] = record.offset + 1
        positions[key] = page.positions[key]  # behind it may be holes
    return Events("".join(parts), count, page.positions)
