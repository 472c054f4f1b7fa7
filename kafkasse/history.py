"""Pages: bounded reads of the log between two positions.

Nothing here joins a group or commits.  A page ends within `PAGE_SECONDS`, and with the time of its request, with
`KafkaUnavailableError` when the brokers did not answer.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kafkasse import deadline, offsets, positions
from kafkasse.conf import conf
from kafkasse.exceptions import KafkaUnavailableError, ReadersBusyError
from kafkasse.once import Once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafkasse.sse import Headers
    from kafkasse.topics import Key

logger = logging.getLogger(__name__)

READER_WAIT = 2.0
"""Seconds that a request waits for a free reader before it is told to come back."""
PAGE_SECONDS = 2.0
"""The longest time that reading one page may take."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of Kafka, as it was written; `time` in milliseconds since the epoch, negative where it has none."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None
    headers: Headers
    time: int


@dataclass(slots=True)
class Page:
    """A bounded read: the records, by partition and in offset order, and the positions that they lead to.

    `lost` holds, for each partition whose first wanted record is gone from the log, the position that was wanted and
    the one where the log begins now.  `complete` says that every partition came to where the page was to stop.
    """

    positions: dict[Key, int]
    records: list[Record] = field(default_factory=list)
    lost: dict[Key, tuple[int, int]] = field(default_factory=dict)
    size: int = 0
    complete: bool = True


class Readers:
    """A bounded pool of consumers that read pages; each costs threads, sockets and half a megabyte."""

    def __init__(self, size: int) -> None:
        self._idle: LifoQueue[Consumer | None] = LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def reader(self) -> Iterator[Consumer]:
        """Lend a reader, made when first needed; raise `ReadersBusyError` when none is free in time."""
        try:
            reader = self._idle.get(timeout=deadline.left(READER_WAIT))
        except Empty:
            raise ReadersBusyError from None
        try:
            reader = reader or positions.consumer()
            yield reader
        except KafkaUnavailableError:
            # A topic that was created again after its leaders had changed, this one would never read: librdkafka takes
            # the new leaders for outdated (`rd_kafka_toppar_leader_update`).
            reader = None
            raise
        finally:
            self._idle.put(reader)


@Once
def readers() -> Readers:
    """Return this process's readers, made at the first request: librdkafka's threads do not survive a fork."""
    return Readers(conf.KAFKASSE_READERS)


def page(
    start: Mapping[Key, int],
    stop: Mapping[Key, int],
    max_bytes: int,
    *,
    frame: int = 100,
    max_records: int = sys.maxsize,
    headers: bool = False,
) -> Page:
    """Return the records from the positions `start` up to `stop`, by topic and partition, or until they pass a maximum.

    `frame` is what a record takes besides its value, in bytes; the first record is taken however large it is.  With
    `headers` each record has its own; without, only tombstones do.  A partition whose first records are gone goes on where its log begins now, and is listed in `lost`.
    """
    found = Page(dict(start))
    unread = {key for key, position in start.items() if position < stop[key]}
    if unread:
        with readers().reader() as consumer:
            try:
                _Reading(consumer, found, start, stop, unread, max_bytes, frame, max_records, headers).run()
            except KafkaException as error:
                raise KafkaUnavailableError from error
            finally:
                consumer.unassign()
        logger.debug("Read a page of %d records", len(found.records), extra={"action": "read"})
    found.complete = not unread
    found.records.sort(key=lambda record: (record.topic, record.partition))  # stable, and so in offset order
    return found


@dataclass(slots=True)
class _Reading:
    """One page being read: `unread` are the partitions that have not come to their `stop` yet."""

    consumer: Consumer
    found: Page
    start: Mapping[Key, int]
    stop: Mapping[Key, int]
    unread: set[Key]
    max_bytes: int
    frame: int
    max_records: int
    headers: bool
    is_full: bool = False
    has_moved: bool = False

    def run(self) -> None:
        """Read until every partition is done, the page is full, or its time is up (an error when it is then empty)."""
        end = time.monotonic() + deadline.left(PAGE_SECONDS)
        self._assign()
        while self.unread and (messages := self.consumer.consume(500, 0) or self._wait(end)):
            for message in messages:
                self._take(message)
                if self.is_full:
                    return
            if self.has_moved:
                if time.monotonic() > end:
                    break
                self._assign()
        if self.unread and not self.found.records:
            raise KafkaUnavailableError

    def _assign(self) -> None:
        """Read on from where each partition is now."""
        self.has_moved = False
        positions = self.found.positions
        self.consumer.assign([TopicPartition(*key, positions[key]) for key in sorted(self.unread)])

    def _wait(self, end: float) -> list[Message]:
        """Return the next message in a list, or none when the time is up."""
        message = self.consumer.poll(max(0.0, end - time.monotonic()))
        return [] if message is None else [message]  # a message's truth is that of its value

    def _take(self, message: Message) -> None:
        """Add a record that lies before `stop`; a later one, or the log's end, says that its partition is done.

        What is left over from the page that this reader has read before, of another topic or place, is passed over:
        librdkafka may hand out what it had fetched for an assignment that is no more.
        """
        key = cast("str", message.topic()), cast("int", message.partition())
        offset = cast("int", message.offset())
        if key not in self.unread:
            return
        if error := message.error():
            self._take_error(error, key, offset)
        elif offset >= self.found.positions[key]:
            if offset < self.stop[key]:
                self._add(message, key, offset)
            if offset + 1 >= self.stop[key] and not self.is_full:
                self._done(key)

    def _add(self, message: Message, key: Key, offset: int) -> None:
        value = message.value()
        # The frame counts, too: a page of empty values must end as well.
        size = self.found.size + len(value or b"") + self.frame
        if self.found.records and (size > self.max_bytes or len(self.found.records) >= self.max_records):
            self.is_full = True
            return
        self.found.size = size
        # Only a tombstone shows its headers.
        headers = positions.headers_of(message) if self.headers or value is None else None
        _kind, written = message.timestamp()
        self.found.records.append(Record(*key, offset, value, message.key(), headers, written))
        self.found.positions[key] = offset + 1

    def _done(self, key: Key) -> None:
        """Note that there is no more to read; what is missing up to `stop` are holes (compaction, transactions)."""
        self.unread.discard(key)
        self.found.positions[key] = max(self.stop[key], self.found.positions[key])

    def _take_error(self, error: KafkaError, key: Key, offset: int) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name for it
            self._take_end(key, offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._take_reset(key)
        elif error.fatal() or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise KafkaUnavailableError(error.str())

    def _take_end(self, key: Key, end: int) -> None:
        """Note that a partition is done whose log ends at or after `stop`, or was cut short of it since the commit.

        Else it is the end of a log that has grown by now, and the rest comes.
        """
        if end >= self.stop[key]:
            self._done(key)
        elif positions.lookup().ends([key], offsets.LATEST)[key] <= end:
            self.unread.discard(key)

    def _take_reset(self, key: Key) -> None:
        """Skip to the first record that is still there, or to `stop` when none before it is.

        Nothing is gone where the log has the position: librdkafka may say so of an assignment that is no more.  What is
        gone behind records of this page has to be told behind them: the next page finds it.
        """
        at, ends = self.found.positions[key], positions.lookup().ends
        begin = ends([key], offsets.EARLIEST)[key]
        self.has_moved = True
        if begin <= at <= ends([key], offsets.LATEST)[key]:
            return
        if at != self.start[key]:
            self.is_full = True
            return
        self.found.lost[key] = (at, begin)
        self.found.positions[key] = begin
        if begin >= self.stop[key]:
            self.unread.discard(key)
