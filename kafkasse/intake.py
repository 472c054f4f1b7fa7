"""Crowds that have to catch up begin one after another (docs/adr/0028-crowds-begin-one-after-another.md).

Pushpin takes some four hundred requests for pages at a time.  Those that are too many are turned away and come again later
and later, or twice.  So who would be one of them is held for as long as the pages of those before it should take.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from kafkasse.conf import conf
from kafkasse.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 60
"""The longest delay, in seconds: those who went while they waited still have their turn, and shall not keep others for ever."""
ALONE = 3
"""How many times as much work it is when a client begins at once: its first page is nobody else's."""
SEALED = 2
"""How many times as much work pages are in which the proxy looks at each byte (docs/adr/0029-sealed-answers.md)."""


class Intake:
    """When each client begins to catch up, if all of them together get `rate` bytes per second; 0: whenever they come."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._lock = threading.Lock()
        self._free = clock()

    def delay(self, size: int, *, sealed: bool = False) -> int:
        """Return in how many seconds a client may begin that has `size` bytes before it, and keep that time for it.

        To the nearest second, as the proxy counts them: a few clients never wait.
        """
        if not self._rate:
            return 0
        work = size * SEALED if sealed else size
        with self._lock:
            now = self._clock()
            begin = min(max(self._free, now), now + LONGEST)
            delay = round(begin - now)
            self._free = begin + (work if delay else ALONE * work) / self._rate
        return delay


@Once
def intake() -> Intake:
    """Return this process's intake."""
    return Intake(conf.KAFKASSE_CATCH_UP_RATE)
