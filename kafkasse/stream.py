"""Which records a stream brings: of which topics, of all their partitions or one, and up to where.

Pure.  What is not usual of a stream stands in the paths of its next links, so that all who have the same share the answer:

    terms = term *( "_" term )
    term  = "p" partition      this partition alone
          | "u" time           up to this time, which is to come; milliseconds since the epoch
          | "e" cursor         up to these positions
          | "h" seconds        a heartbeat after so many seconds without anything else
          | "l" lane           who replays alone, or of a crowd who is asked for together
          | "w"                held by one channel for the whole topic
          | "s"                sealed: the proxy's filter works on the answer (`sse.sealed`)

Numbers are in base 36, as in the cursor.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kafkasse import cursor
from kafkasse.exceptions import CursorError
from kafkasse.start import HEARTBEAT_MAX, HEARTBEAT_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import TypeAlias

    from kafkasse.topics import Key

    Named: TypeAlias = Mapping[str, tuple[str, Mapping[int, int]]]

GROUPS = 36
"""In how many lanes those of a crowd are: the proxy sends a page at once to all in a lane who are at the same place."""
LANES = 36**8
"""How many lanes there are: so many that each of the others who replay has one of its own."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of `topics`: of one `partition`, or all; `until` a time to come, or up to the positions `end`.

    `heartbeat` is in seconds, None for the usual.  Who replays is in a `lane`, alone or with some of a crowd, others are in
    none.  Those who are held by one channel for the `whole` topic have other items, and links, than those with a channel for
    each partition.
    `sealed` is what the proxy has been told to filter: the answer to a link that says so, since the answer before said it.
    `tags` are those of the topics, once Kafka has been asked.  Positions are by topic and partition.
    """

    topics: tuple[str, ...]
    partition: int | None = None
    until: int | None = None
    end: Mapping[Key, int] | None = None
    heartbeat: int | None = None
    lane: int | None = None
    whole: bool = False
    sealed: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The topics as they stand in a path."""
        return "+".join(self.topics)

    @property
    def which(self) -> tuple[tuple[str, ...], int | None]:
        """The tags of its topics, and its one partition or None: what else it is like, its records have nothing to do with."""
        return tuple(self.tags.values()), self.partition

    def only(self, partition: int | None) -> Stream:
        """Return the stream of one partition."""
        return replace(self, partition=partition)

    def ending_at(self, end: Mapping[Key, int]) -> Stream:
        """Return the stream up to these positions."""
        return replace(self, until=None, end=end)

    def in_lane(self, lane: int | None) -> Stream:
        """Return the stream of those in one lane."""
        return replace(self, lane=lane)

    def held_by(self, whole: Collection[str]) -> Stream:
        """Return the stream of those who are held now, when the topics in `whole` have one channel."""
        return replace(
            self, whole=self.partition is None and len(self.topics) == 1 and self.topics[0] in whole
        )

    def sealed_if(self, sealed: bool) -> Stream:  # noqa: FBT001 - the name says what it is
        """Return the stream with answers that are sealed, or are not."""
        return replace(self, sealed=sealed)

    def tagged(self, tags: Mapping[str, str]) -> Stream:
        """Return the stream of the topics that are these."""
        return replace(self, tags=tags)

    def event_id(self, positions: Mapping[Key, int]) -> str:
        """Return the cursor of a client at `positions`."""
        (topic, partition), position = next(iter(positions.items()))
        return (
            cursor.head(self.tags[topic], partition)
            + cursor.encode_number(position)
            + "."
            + self.rest(positions)
        )

    def rest(self, positions: Mapping[Key, int]) -> str:
        """Return what stands behind the own position in the ids of this stream."""
        return self.rest_of(positions, lambda key: cursor.encode_number(positions[key]))

    def rest_of(self, keys: Iterable[Key], entry: Callable[[Key], str]) -> str:
        """Return the same, with what `entry` gives for the position of each of `keys`."""
        if self.partition is not None:
            return cursor.ALONE
        entries: dict[str, list[str]] = {tag: [] for tag in self.tags.values()}
        for key in sorted(keys):
            entries[self.tags[key[0]]].append(entry(key))
        return cursor.rest({tag: ".".join(found) for tag, found in entries.items()})

    def named(self, text: str) -> Named:
        """Return tag and positions by topic, of a cursor that `event_id` wrote; raise `CursorError` for any other."""
        found = cursor.decode(text)
        named = self.ours(found)
        if len(named) < len(found.positions) or found.alone != (self.partition is not None):
            raise CursorError
        return named

    def ours(self, found: cursor.Cursor) -> Named:
        """Return tag and positions of those of this stream's topics that a cursor names.

        Names whose tags begin alike are told apart by the whole tag; where that has changed, by their order.
        """
        present = {tag: topic for topic, tag in self.tags.items() if tag in found.positions}
        free = [topic for topic in self.topics if topic not in present.values()]
        named = {}
        for tag, positions in found.positions.items():
            topic = present.get(tag) or next((each for each in free if cursor.is_tag_of(tag, each)), None)
            if topic:
                named[topic] = (tag, positions)
                free = [each for each in free if each != topic]
        return named

    @property
    def is_shared(self) -> bool:
        """Whether the proxy may send an answer to several clients at once, if they are at the same place."""
        return self.lane is None or self.lane < GROUPS

    def terms(self) -> str:
        """Return what stands in the paths of next links, or nothing for a whole and endless stream."""
        found = []
        if self.partition is not None:
            found.append("p" + cursor.encode_number(self.partition))
        if self.until is not None:
            found.append("u" + cursor.encode_number(self.until))
        if self.end is not None:
            found.append("e" + self.event_id(self.end))
        if self.heartbeat is not None:
            found.append("h" + cursor.encode_number(self.heartbeat))
        if self.lane is not None:
            found.append("l" + cursor.encode_number(self.lane))
        if self.whole:
            found.append("w")
        if self.sealed:
            found.append("s")
        return "_".join(found)


def with_terms(topics: tuple[str, ...], text: str) -> Stream:
    """Return the stream that `terms` wrote; raise `CursorError` for anything else."""
    stream = Stream(topics)
    for term in text.split("_") if text else []:
        kind, value = term[:1], term[1:]
        if kind == "p" and stream == Stream(topics) and len(topics) == 1:
            stream = stream.only(cursor.decode_partition(value))
        elif kind == "u" and stream.until is None and stream.end is None:
            stream = replace(stream, until=cursor.decode_number(value))
        elif kind == "e" and stream.until is None and stream.end is None:
            stream = stream.ending_at(_end(stream, value))
        elif kind == "h" and stream.heartbeat is None:
            stream = replace(stream, heartbeat=_seconds(value))
        elif kind == "l" and stream.lane is None:
            stream = stream.in_lane(_lane(value))
        elif term == "w" and not stream.whole and stream.held_by(topics).whole:
            stream = stream.held_by(topics)
        elif term == "s" and not stream.sealed:
            stream = stream.sealed_if(True)
        else:
            raise CursorError
    return stream


def _end(stream: Stream, text: str) -> Mapping[Key, int]:
    return places(stream.named(text))


def places(named: Named) -> dict[Key, int]:
    """Return the positions that a cursor, or the proxy, names."""
    return {(topic, each): at for topic, (_tag, positions) in named.items() for each, at in positions.items()}


def _lane(text: str) -> int:
    lane = cursor.decode_number(text)
    if lane >= LANES:
        raise CursorError
    return lane


def _seconds(text: str) -> int:
    """Return the seconds of a heartbeat; anybody can ask for these paths, but nobody gets more than a URL gives."""
    seconds = cursor.decode_number(text)
    if not HEARTBEAT_MIN <= seconds <= HEARTBEAT_MAX:
        raise CursorError
    return seconds
