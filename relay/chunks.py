"""Records → items: as many records of one partition in each as fit, chained by their positions.

Pure.  An item is what one publish sends to one channel.  Its id is the position after its last record, its prev-id the
id of the item before it: a client that is elsewhere does not get it, but is repaired from the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from kafkasse import cursor, sse, topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kafkasse.topics import Key

CHUNK_BYTES = 60_000
"""Where an item ends: large enough to cost the proxy one flush, small enough to keep a slow client's queue short."""
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
    """One publish to one channel, encoded as JSON; `position` is the partition's once it is acknowledged.

    `size` is that of the body, in bytes.  Without a `body` the item cannot be published at all: its record is too large,
    and its clients have to be told to fetch it from the log.  One that nobody listens to has none, either.
    """

    topic: str
    tag: str
    partition: int
    position: int
    body: bytes | None
    records: int
    size: int

    @property
    def key(self) -> Key:
        """Its partition."""
        return self.topic, self.partition


def unheard(key: Key, tag: str, position: int, records: int) -> Item:
    """Return what there is to commit of so many records to which nobody listens, up to `position`."""
    topic, partition = key
    return Item(topic, tag, partition, position, None, records, 0)


def build(run: Run, prefix: str = "") -> Iterator[Item]:
    """Yield the items of a run; each record is in exactly one of them."""
    if run.first:
        body = forget(run.topic, run.tag, run.partition, prefix)
        yield Item(run.topic, run.tag, run.partition, run.position, body, 0, len(body) + 1)
    head = cursor.head(run.tag, run.partition)
    channel = prefix + topics.channel(run.topic, run.tag, run.partition)
    events: list[str] = []
    size, previous, position = 0, run.position, run.position
    for offset, value, key, headers in run.records:
        event = sse.live_record(head + cursor.encode_number(offset + 1), value, key, headers)
        if events and size + len(event) > CHUNK_BYTES:
            yield _item(run, channel, previous, position, events)
            events, size, previous = [], 0, position
        events.append(event)
        size += len(event)
        position = offset + 1
    if events:
        yield _item(run, channel, previous, position, events)


def _item(run: Run, channel: str, previous: int, position: int, events: list[str]) -> Item:
    places = cursor.encode_number(previous), cursor.encode_number(position)
    body = _chained(channel, *places, "".join(events))
    size = len(body) + 1
    fits = size <= BODY_BYTES
    sent = body if fits else None
    return Item(run.topic, run.tag, run.partition, position, sent, len(events), size if fits else 0)


def _chained(channel: str, previous: str, place: str, content: str) -> bytes:
    """Return the item that brings the clients of a channel from one place to another."""
    head = (
        f'{{"channel":"{channel}","id":"{place}","prev-id":"{previous}",'
        f'"formats":{{"http-stream":{{"content-filters":["build-id"],"content":'
    )
    return head.encode() + orjson.dumps(content) + b"}}}"


def hint(topic: str, prefix: str = "") -> bytes:
    """Return the item on which every hold of a topic asks at once what it misses.

    It goes over the control channel: on a chained one the proxy drops an item without an id that arrives during a refill.
    """
    channel = prefix + topics.control_channel(topic)
    return f'{{"channel":"{channel}","formats":{{"http-stream":{{"action":"hint"}}}}}}'.encode()


def forget(topic: str, tag: str, partition: int, prefix: str = "") -> bytes:
    """Return the item on which the proxy forgets the id that came last on a partition's channel.

    An item that does not follow that id is held back for a second or more, in the hope for what lies between, and all that
    follow it are.  Where there is nothing to hope for, as after another relay's last item, this comes before.  No client
    is touched by it: it has a format for which nobody is held (Pushpin's sequencer.cpp, 1.36 to 1.41).
    """
    channel = prefix + topics.channel(topic, tag, partition)
    return f'{{"channel":"{channel}","formats":{{"http-response":{{"action":"hint"}}}}}}'.encode()


def reminder(topic: str, tag: str, partition: int, position: int, prefix: str = "") -> bytes:
    """Return an item without records: a client at `position` gets a comment, any other one is repaired from the log."""
    channel, place = prefix + topics.channel(topic, tag, partition), cursor.encode_number(position)
    return _chained(channel, place, place, sse.KEEP_ALIVE)


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
