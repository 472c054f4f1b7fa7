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
RECENT = 10
"""Over how many milestones the speed is measured."""
KNOWN_SECONDS = 5.0
"""For how long a stream must have been asked for until it is known: a relay or a writer that was late makes up for it."""


class Milestones:
    """Where the relay was, now and then, while somebody asked: of each stream, by its topics and its one partition or None."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._passed: OrderedDict[Which, deque[Passed]] = OrderedDict()

    def passed(self, stream: Which, positions: Mapping[Key, int | None]) -> None:
        """Take note of where the relay is in a stream's partitions; one without a position is still empty."""
        now = self._clock()
        with self._lock:
            passed = self._passed.setdefault(stream, deque(maxlen=MOST))
            self._passed.move_to_end(stream)
            here = {key: place or 0 for key, place in positions.items()}
            if passed and _between(passed[-1][1], here) < 0:
                passed.clear()  # another topic of the name
            if not passed or (now - passed[-1][0] >= SPAN and _between(passed[-1][1], here) >= RECORDS):
                passed.append((now, here))
            while len(self._passed) > STREAMS:
                self._passed.popitem(last=False)

    def next(self, stream: Which, start: Mapping[Key, int], stop: Mapping[Key, int]) -> Mapping[Key, int]:
        """Return the first milestone from `start` to `stop`, for the partitions of `start`; `stop` where it is near, too."""
        if _between(start, stop) < RECORDS:
            return stop
        passed = self._of(stream)
        # Those with fewer records are behind: of a topic of many partitions, a look at each place takes its time.
        for _when, places in passed[bisect_right(passed, sum(start.values()), key=_records) :]:
            if all(begin <= places.get(key, 0) <= stop[key] for key, begin in start.items()):
                here = {key: places.get(key, 0) for key in start}
                if here != start:
                    return here
        return stop

    def known_speed(self, stream: Which) -> float | None:
        """Return the speed of a stream, or None where it has not been asked for for long enough."""
        passed = self._of(stream)
        return self.speed(stream) if passed and self._clock() - passed[0][0] >= KNOWN_SECONDS else None

    def speed(self, stream: Which) -> float:
        """Return how many records a second the stream got lately; 0 where nothing is known of it."""
        passed = self._of(stream)[-RECENT:]
        if not passed:
            return 0.0
        (since, first), (_until, last) = passed[0], passed[-1]
        return max(0, _between(first, last)) / max(SPAN, self._clock() - since)

    def seconds(self, stream: Which, records: int) -> float:
        """Return in how many seconds the stream gets so many records."""
        speed = self.speed(stream)
        return records / speed if speed else math.inf

    def _of(self, stream: Which) -> list[Passed]:
        with self._lock:
            return list(self._passed.get(stream, ()))


def _records(passed: Passed) -> int:
    return sum(passed[1].values())


def _between(first: Mapping[Key, int], last: Mapping[Key, int]) -> int:
    return sum(last.values()) - sum(first.values())


@Once
def milestones() -> Milestones:
    """Return this process's milestones."""
    return Milestones()
