"""The last records of a topic by time, across its partitions.

Pure but for the reading, which is an argument.  Within a partition order is by offset, whatever its records' times say: so
what is chosen of each is its end.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from kafkasse.topics import Key

    Read: TypeAlias = Callable[[Mapping[Key, int], Mapping[Key, int]], Iterable[tuple[Key, int, int]]]

SPARE = 10
"""How many records more than its share are read of each partition at first."""


@dataclass(slots=True)
class _Partition:
    """What is known of one partition's end: offsets and times of its records from `start` to where the tail ends."""

    begin: int
    start: int
    end: int
    records: list[tuple[int, int]] = field(default_factory=list)
    chosen: int = 0

    @property
    def is_used_up(self) -> bool:
        """Whether all records that are known are chosen, and there may be more."""
        return self.chosen == len(self.records) and self.start > self.begin


def starts(begins: Mapping[Key, int], ends: Mapping[Key, int], count: int, read: Read) -> dict[Key, int]:
    """Return the position of each partition from which on the last `count` records of all lie.

    `begins` and `ends` are where the logs do.  `read(starts, stops)` yields (key, offset, time) of the records
    between, in offset order for each partition; records may be missing (compaction, transactions).
    """
    share = -(-count // max(1, len(ends))) + SPARE
    parts = {each: _Partition(begins[each], end, end) for each, end in ends.items()}
    lacking = [each for each, part in parts.items() if part.start > part.begin]
    while lacking:
        _extend({each: parts[each] for each in lacking}, share, read)
        if _choose(parts, count):
            break
        lacking = [each for each, part in parts.items() if part.is_used_up]
        share *= 2
    return {each: part.records[-part.chosen][0] if part.chosen else part.end for each, part in parts.items()}


def _extend(parts: Mapping[Key, _Partition], share: int, read: Read) -> None:
    """Read further back in each of `parts`."""
    stops = {each: part.start for each, part in parts.items()}
    for part in parts.values():
        part.start = max(part.begin, part.start - share)
    found: dict[Key, list[tuple[int, int]]] = {each: [] for each in parts}
    for key, offset, time in read({each: part.start for each, part in parts.items()}, stops):
        found[key].append((offset, time))
    for each, part in parts.items():
        part.records = found[each] + part.records


def _choose(parts: Mapping[Key, _Partition], count: int) -> bool:
    """Take the newest of all last records again and again, until there are `count`, or no more.

    Return False when a partition is used up before that.
    """
    for part in parts.values():
        part.chosen = 0
    if any(part.is_used_up for part in parts.values()):
        return False
    newest = [(-part.records[-1][1], each) for each, part in parts.items() if part.records]
    heapq.heapify(newest)
    for _ in range(count):
        if not newest:
            return True
        part = parts[newest[0][1]]
        part.chosen += 1
        if part.chosen < len(part.records):
            heapq.heapreplace(newest, (-part.records[-1 - part.chosen][1], newest[0][1]))
        else:
            heapq.heappop(newest)
            if part.is_used_up and sum(each.chosen for each in parts.values()) < count:
                return False
    return True
