"""Pages as clients get them: read once and written once for all who want the same.

A page of the log never changes, so it is kept for a while; and who asks for one that is being read waits for it.  A herd of
clients that come back with the same cursor so costs Kafka a few reads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from kafkasse import deadline, history, replay
from kafkasse.conf import conf
from kafkasse.exceptions import KafkaUnavailableError
from kafkasse.once import Once
from kafkasse.positions import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kafkasse.history import Page
    from kafkasse.stream import Stream
    from kafkasse.topics import Key

Place: TypeAlias = tuple[Any, ...]

SECONDS = 60.0
"""For how long a page is kept; records that are deleted from the log are served so long at the most."""
SHARED_BYTES = 190_000
"""A longer answer may never end for some of the clients that share it (docs/adr/0022-pages-that-are-shared.md)."""
FAST_BYTES = 500_000
"""A topic that brings more in a second is read in long pages all the same: in small ones, nobody would catch up with it."""
RECENT_SECONDS = 10
"""How old records may be that tell how much their topic brings; what has been written before may have come at once."""
MANY_RECORDS = 1000
"""A page with more of them goes to a client alone as it is: each page is a request."""
FRAME = len("event: message\nid: \ndata: \n\n")
"""What an event has besides its value and its id, in bytes; what is too much of a page is cut off from its text."""
BURST_RECORDS = 200
"""Fewer records than that count as those of a second, if they came in less: a burst says nothing of the topic."""
SHORTEST = 0.1
"""In how many seconds more of them came, at the least; Kafka's times are in milliseconds."""


@dataclass(frozen=True, slots=True)
class Written:
    """A page as text, and the positions that it leads to.

    `complete` says that these are where it was to stop; `breaks` that something was gone from the log; `is_part` that what
    follows has been read with it.
    """

    body: str
    positions: dict[Key, int]
    complete: bool
    records: int
    breaks: bool
    is_part: bool = False

    def left(self, stop: Mapping[Key, int]) -> int:
        """Return about how many bytes there are from here to `stop`, if the records to come are like these."""
        offsets = sum(max(0, stop[key] - at) for key, at in self.positions.items())
        return offsets * len(self.body) // max(1, self.records)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A page, where it was to stop, and until when it is kept."""

    page: Written
    stop: Mapping[Key, int]
    until: float

    def fits(self, stop: Mapping[Key, int], now: float) -> bool:
        """Say whether the page is what would be read now: up to the same place, or full before another."""
        if now > self.until:
            return False
        if self.stop == stop:
            return True
        return not self.page.complete and all(at <= stop[key] for key, at in self.page.positions.items())


class Pages:
    """The pages of one process: those that are being read, and the latest of those that have been, up to `max_bytes`."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._lock = threading.Lock()
        self._reading: dict[Place, Future[_Entry]] = {}
        self._kept: OrderedDict[Place, _Entry] = OrderedDict()
        self._size = 0

    def page(
        self,
        stream: Stream,
        start: Mapping[Key, int],
        stop: Mapping[Key, int],
        *,
        shared: bool = False,
        speed: float | None = None,
    ) -> Written:
        """Return the page from `start` up to `stop`, or as far as the settings let one go.

        One that is `shared` is what the proxy may pass on to many clients at once: a small one, if that is enough.
        `speed` is how many records a second the topics got lately, if that is known.  Raises as `read` does.
        """
        place = _place(stream, start, shared=shared)
        while True:
            with self._lock:
                entry = self._kept.get(place)
                if entry and entry.fits(stop, self._clock()):
                    self._kept.move_to_end(place)
                    return entry.page
                other = self._reading.get(place)
                if other is None:
                    mine = self._reading[place] = Future()
                    break
            entry = _awaited(other)
            if entry.fits(stop, self._clock()):
                return entry.page
        return self._read(mine, stream, start, stop, shared=shared, speed=speed)

    def _read(
        self,
        mine: Future[_Entry],
        stream: Stream,
        start: Mapping[Key, int],
        stop: Mapping[Key, int],
        *,
        shared: bool,
        speed: float | None,
    ) -> Written:
        place = _place(stream, start, shared=shared)
        try:
            *parts, last = _written(stream, start, stop, shared=shared, speed=speed)
        except BaseException as error:
            with self._lock:
                del self._reading[place]
            mine.set_exception(error)
            raise
        until = self._clock() + SECONDS
        # Who asks for the first of them asks for the others next.
        places = [place, *(_place(stream, page.positions, shared=shared) for page in parts)]
        written = [*(replace(page, is_part=True) for page in parts), last]
        entries = [_Entry(page, stop, until) for page in written]
        with self._lock:
            del self._reading[place]
            for at, entry in reversed([*zip(places, entries, strict=True)]):
                self._keep(at, entry)
        mine.set_result(entries[0])
        return written[0]

    def _keep(self, place: Place, entry: _Entry) -> None:
        if old := self._kept.pop(place, None):
            self._size -= _size(old)
        self._kept[place] = entry
        self._size += _size(entry)
        while self._size > self._max_bytes:
            _place, oldest = self._kept.popitem(last=False)
            self._size -= _size(oldest)


def _place(stream: Stream, start: Mapping[Key, int], *, shared: bool) -> Place:
    return tuple(stream.tags.items()), stream.partition, tuple(sorted(start.items())), shared


def _awaited(other: Future[_Entry]) -> _Entry:
    try:
        return other.result(deadline.left())
    except FutureTimeoutError as error:
        raise KafkaUnavailableError from error


def _size(entry: _Entry) -> int:
    """Return about how much memory a page takes."""
    return sys.getsizeof(entry.page.body) + 200 * len(entry.page.positions)


def _written(
    stream: Stream, start: Mapping[Key, int], stop: Mapping[Key, int], *, shared: bool, speed: float | None
) -> Iterator[Written]:
    """Read what one page may bring, and yield it as one, or as the several small ones that it is to be."""
    frame = FRAME + len(stream.event_id(start))
    page = read(stream, start, stop, conf.KAFKASSE_PAGE_BYTES, frame=frame)
    is_small = not _is_fast(page, speed) and (shared or len(page.records) <= MANY_RECORDS)
    most = min(SHARED_BYTES, conf.KAFKASSE_PAGE_BYTES) if is_small else conf.KAFKASSE_PAGE_BYTES
    is_first = True
    while True:
        # As text, base64 for one, records may be longer than they are.
        events = replay.events(stream, start, page, most)
        is_last = events.records == len(page.records)
        # A rest that is no page of its own is read again, with what follows.
        if is_first or not is_last or page.complete:
            complete = page.complete and is_last
            yield Written(events.text, events.positions, complete, events.records, bool(page.lost))
        if is_last or not is_small:
            return
        is_first = False
        start, page = events.positions, replace(page, records=page.records[events.records :], lost={})


def read(
    stream: Stream, start: Mapping[Key, int], stop: Mapping[Key, int], max_bytes: int, **more: Any
) -> Page:
    """Return what `history.page` does, of the topics that the stream's tags stand for.

    Raises as that, and `TopicChangedError` where it is another topic of the name that has not got the records.
    """
    page = history.page(start, stop, max_bytes, **more)
    if page.lost:
        lookup().require(stream.tags)
    return page


def _is_fast(page: Page, speed: float | None) -> bool:
    """Say whether the topics of `page` bring much now, by their speed; for as long as that is not known, by its times."""
    if speed is not None:
        return speed * page.size > FAST_BYTES * len(page.records)
    times = [record.time for record in page.records]
    newest = max(times, default=0)
    if newest / 1000 < time.time() - RECENT_SECONDS:
        return False
    seconds = (newest - min(times)) / 1000
    shortest = 1.0 if len(times) < BURST_RECORDS else SHORTEST
    return page.size > FAST_BYTES * max(seconds, shortest)


@Once
def pages() -> Pages:
    """Return this process's pages."""
    return Pages(conf.KAFKASSE_CACHE_BYTES)
