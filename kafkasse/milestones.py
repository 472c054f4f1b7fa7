"""Places at which pages end, so that clients who come back at different places soon read the same pages.

A page is read and written once for all who want it (`kafkasse.pages`).  Two hundred clients that were cut off at two hundred
moments would want two hundred different ones, each of the same records, until the end.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafkasse.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from kafkasse.topics import Key

    Which: TypeAlias = tuple[tuple[str, ...], int | None]
    Passed: TypeAlias = tuple[float, Mapping[Key, int]]

SPAN = 1.0
RECORDS = 1000
"""From one milestone to the next there are so many seconds and records at the least: each page is a request."""
MOST = 120
"""Of how many milestones of a stream we know; who is farther behind is alone there."""
STREAMS = 100
"""Of how many streams, those that were asked for last."""
LATELY = 15.0
"""Over how many seconds the speed is measured."""
KNOWN_SECONDS = 5.0
"""For how long a stream must have been asked for until it is known: a relay or a writer that was late makes up for it."""


@dataclass(slots=True)
class _Known:
    """What is known of a stream: its milestones, and when lately it had how many records."""

    milestones: deque[Passed] = field(default_factory=lambda: deque(maxlen=MOST))
    lately: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, here: Mapping[Key, int]) -> None:
        """Take note of where the relay is."""
        records = sum(here.values())
        if not self.lately or now - self.lately[-1][0] >= SPAN:
            self.lately.append((now, records))
        while now - self.lately[0][0] > LATELY:
            self.lately.popleft()
        if self.milestones:
            since, last = self.milestones[-1]
            if now - since < SPAN or _between(last, here) < RECORDS:
                return
        self.milestones.append((now, here))


class Milestones:
    """Where the relay was, now and then, while somebody asked: of each stream, by its topics' tags and its one partition or None.

    Look-ups of several threads may come here in another order than they were made in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: OrderedDict[Which, _Known] = OrderedDict()

    def passed(self, stream: Which, positions: Mapping[Key, int | None]) -> None:
        """Take note of where the relay is in a stream's partitions; one without a position is still empty."""
        now = self._clock()
        with self._lock:
            known = self._streams.setdefault(stream, _Known())
            self._streams.move_to_end(stream)
            known.note(now, {key: place or 0 for key, place in positions.items()})
            while len(self._streams) > STREAMS:
                self._streams.popitem(last=False)

    def next(self, stream: Which, start: Mapping[Key, int], stop: Mapping[Key, int]) -> Mapping[Key, int]:
        """Return the first milestone from `start` to `stop`, for the partitions of `start`; `stop` where it is near, too."""
        if _between(start, stop) < RECORDS:
            return stop
        with self._lock:
            passed = [*self._streams[stream].milestones] if stream in self._streams else []
        # Those with fewer records are behind: of a topic of many partitions, a look at each place takes its time.
        for _when, places in passed[bisect_right(passed, sum(start.values()), key=_records) :]:
            if all(begin <= places.get(key, 0) <= stop[key] for key, begin in start.items()):
                here = {key: places.get(key, 0) for key in start}
                if here != start:
                    return here
        return stop

    def known_speed(self, stream: Which) -> float | None:
        """Return the speed of a stream, or None where it has not been asked for for long enough."""
        lately = self._lately(stream)
        return self.speed(stream) if lately and self._clock() - lately[0][0] >= KNOWN_SECONDS else None

    def speed(self, stream: Which) -> float:
        """Return how many records a second the stream got lately; 0 where nothing is known of it."""
        lately = self._lately(stream)
        if not lately:
            return 0.0
        (since, first), (_until, last) = lately[0], lately[-1]
        return max(0, last - first) / max(SPAN, self._clock() - since)

    def seconds(self, stream: Which, records: int) -> float:
        """Return in how many seconds the stream gets so many records."""
        speed = self.speed(stream)
        return records / speed if speed else math.inf

    def _lately(self, stream: Which) -> list[tuple[float, int]]:
        with self._lock:
            return [*self._streams[stream].lately] if stream in self._streams else []


def _records(passed: Passed) -> int:
    return sum(passed[1].values())


def _between(first: Mapping[Key, int], last: Mapping[Key, int]) -> int:
    return sum(last.values()) - sum(first.values())


@Once
def milestones() -> Milestones:
    """Return this process's milestones."""
    return Milestones()
