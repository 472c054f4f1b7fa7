"""Records → items: as many records of one partition, or of one topic, in each as fit, chained by their positions.

Pure.  An item is what one publish sends to one channel.  Its id is the position after its last record, its prev-id the
id of the item before it: a client that is elsewhere does not get it, but is repaired from the log.  The ids of a whole
topic's items are its vectors (docs/adr/0026-one-chain-for-a-whole-topic.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import TYPE_CHECKING

import orjson

from kafkasse import cursor, sse, topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kafkasse.topics import Key, Place

CHUNK_BYTES = 60_000
"""Where an item ends: large enough to cost the proxy one flush, small enough to keep a slow client's queue short."""
SMALL_BYTES, FEW = 15_000, 8
"""Where the first few items of a whole topic's round end.  The proxy keeps a hundred items for a client that does not read:
those are 1.5 MB then, as where four partitions have a chain each, and what is more comes from the log."""
FILTERED = '"content-filters":["build-id"],'
"""What makes the proxy put each client's vector in place of `%I`."""
NOWHERE = "~"
"""The place in a chain at which no client is."""
BODY_BYTES = 900_000
"""The largest body of one publish; Pushpin refuses 1,000,000 bytes."""


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one partition in offset order, read in one round: `position` is the boundary before the first.

    A record is a tuple (offset, value, key, headers), as it comes from Kafka: there are hundreds of thousands a second.
    `tag` says which topic of that name it is.  `first` says that it follows nothing this relay has published: it has got
    the partition, or moved in it.
    """

    topic: str
    tag: str
    partition: int
    position: int
    records: Sequence[tuple[int, bytes | None, bytes | None, sse.Headers]]
    first: bool = False

    @property
    def key(self) -> Key:
        """Its partition."""
        return self.topic, self.partition

    @property
    def end(self) -> int:
        """The position after its last record."""
        return self.records[-1][0] + 1


@dataclass(frozen=True, slots=True)
class Item:
    """One publish to one channel, encoded as JSON; `positions` are those of its partitions once it is acknowledged.

    `size` is that of the body, in bytes.  Without a `body` the item cannot be published at all: its records are too large,
    and its clients have to be told to fetch them from the log.  One that nobody listens to has none, either.
    """

    place: Place
    tag: str
    positions: Mapping[Key, int]
    body: bytes | None
    records: int
    size: int


def unheard(key: Key, tag: str, position: int, records: int) -> Item:
    """Return what there is to commit of so many records to which nobody listens, up to `position`."""
    return Item(key, tag, {key: position}, None, records, 0)


@dataclass(frozen=True, slots=True)
class Chain:
    """The items of one channel: that of a partition, or of a whole topic."""

    place: Place
    tag: str
    prefix: str = ""

    @property
    def channel(self) -> str:
        """The name of its channel."""
        topic, partition = self.place
        return self.prefix + topics.channel(topic, self.tag, partition)

    @property
    def _filters(self) -> str:
        return "" if self.place[1] is None else FILTERED

    def items(self, runs: Sequence[Run], before: Sequence[int]) -> Iterator[Item]:
        """Yield the items of runs; each record is in exactly one of them.

        `before` is where the chain is: where the run of a partition begins, or the vector of a whole topic.  Who is
        delivered an item was exactly where it begins; so the rest of a whole topic's ids is known.
        """
        if any(run.first for run in runs):
            body = forget(self.channel)
            yield Item(self.place, self.tag, {}, body, 0, len(body) + 1)
        whole = self.place[1] is None
        write = sse.record if whole else sse.live_record
        places = [cursor.encode_number(position) for position in before]
        encode = cursor.encoder()
        limits = chain([SMALL_BYTES] * FEW if whole else [], repeat(CHUNK_BYTES))
        begin, size, limit = ".".join(places), 0, next(limits)
        events: list[str] = []
        positions: dict[Key, int] = {}
        for run in runs:
            head, key = cursor.head(self.tag, run.partition), run.key
            entry, rest = (run.partition, "." + ".".join(places)) if whole else (0, "")
            for offset, value, name, headers in run.records:
                place = encode(offset + 1)
                event = write(head + place + rest, value, name, headers)
                if events and size + len(event) > limit:
                    yield self._item(begin, ".".join(places), positions, events)
                    begin, size, limit = ".".join(places), 0, next(limits)
                    events, positions = [], {}
                events.append(event)
                size += len(event)
                places[entry] = place
                positions[key] = offset + 1
        if events:
            yield self._item(begin, ".".join(places), positions, events)

    def _item(self, begin: str, end: str, positions: Mapping[Key, int], events: list[str]) -> Item:
        body = self._chained(begin, end, "".join(events))
        if (size := len(body) + 1) > BODY_BYTES:
            return Item(self.place, self.tag, positions, None, len(events), 0)
        return Item(self.place, self.tag, positions, body, len(events), size)

    def reminder(self, positions: Sequence[int], *, follows: bool = True, live: float | None = None) -> bytes:
        """Return an item without records: a client at `positions` gets a comment, any other one is repaired from the log.

        In place of the comment a heartbeat, where a whole topic has no more at the time `live`, in seconds since 1970.  One
        that `follows` nobody's position has the proxy ask for every client.
        """
        places = [cursor.encode_number(position) for position in positions]
        place = ".".join(places)
        content = sse.KEEP_ALIVE
        if live is not None:
            content = sse.heartbeat(f"{cursor.head(self.tag, 0)}{places[0]}.{place}", 0, 0, live)
        return self._chained(place if follows else NOWHERE, place, content)

    def _chained(self, begin: str, end: str, content: str) -> bytes:
        """Return the item that brings clients from one place to another."""
        head = (
            f'{{"channel":"{self.channel}","id":"{end}","prev-id":"{begin}",'
            f'"formats":{{"http-stream":{{{self._filters}"content":'
        )
        return head.encode() + orjson.dumps(content) + b"}}}"


def items(
    heard: Mapping[Place, Sequence[Run]], ends: Mapping[Place, Sequence[int]], prefix: str = ""
) -> Iterator[Item]:
    """Yield the items of all chains by which runs are heard; `ends` are the positions of each chain after its runs.

    What goes by two chains is committed, and counted, with the later one, that of the topic: each has it by then.
    """
    for place in sorted(heard, key=lambda each: each[1] is None):
        runs, before = heard[place], [*ends[place]]
        for run in runs:
            before[run.partition if place[1] is None else 0] = run.position
        goes_twice = place[1] is not None and (place[0], None) in heard
        for item in Chain(place, runs[0].tag, prefix).items(runs, before):
            yield replace(item, positions={}, records=0) if goes_twice else item


def hint(topic: str, prefix: str = "") -> bytes:
    """Return the item on which every hold of a topic asks at once what it misses.

    It goes over the control channel: on a chained one the proxy drops an item without an id that arrives during a refill.
    """
    channel = prefix + topics.control_channel(topic)
    return f'{{"channel":"{channel}","formats":{{"http-stream":{{"action":"hint"}}}}}}'.encode()


def postpone(topic: str, prefix: str = "") -> bytes:
    """Return the item that, with others of the whole topic, has the proxy ask for its clients later; they are sent nothing.

    The proxy's clock of a hold begins anew when each of its channels has had an item (Pushpin's httpsession.cpp).
    """
    channel = prefix + topics.control_channel(topic)
    return f'{{"channel":"{channel}","formats":{{"http-stream":{{"content":""}}}}}}'.encode()


def forget(channel: str) -> bytes:
    """Return the item on which the proxy forgets the id that came last on a chained channel.

    An item that does not follow that id is held back for a second or more, in the hope for what lies between, and all that
    follow it are.  Where there is nothing to hope for, as after another relay's last item, this comes before.  No client
    is touched by it: it has a format for which nobody is held (Pushpin's sequencer.cpp, 1.36 to 1.41).
    """
    return f'{{"channel":"{channel}","formats":{{"http-response":{{"action":"hint"}}}}}}'.encode()


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in order, as many at a time as the body of one publish may hold."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and size + item.size > BODY_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def body(items: Iterable[bytes]) -> bytes:
    """Return the body of one publish."""
    return b'{"items":[' + b",".join(items) + b"]}"
