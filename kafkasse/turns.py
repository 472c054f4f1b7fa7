"""Replays take turns, and leave the proxy the time that live events need (docs/adr/0021-replays-give-way.md).

A page of a megabyte costs the proxy as much as thousands of live events, and fifty clients ask for the next one as soon as
they have one.  So pages are let go one after another, at a distance that grows with the time that the proxy takes to answer
a question: that is how long a live event would have waited.  A page may say how long it waits at the most: a replay that goes
on more slowly than its topic grows would have no end (docs/adr/0031-who-comes-back-soon-reads-the-same-pages.md).
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kafkasse.conf import conf
from kafkasse.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any
    from urllib.parse import SplitResult


MEGABYTE = 1_000_000
SLOWEST = 0.25
"""The longest distance, in seconds per megabyte: replays go on, however busy the proxy is."""
WAITING = 60
"""How many requests may wait for their turn; of the ninety that the proxy makes at a time, some are left for others."""
SMOOTHING = 0.2


class Turns:
    """When each page may go.

    `ask` asks the proxy something and returns how many seconds the answer took.  A page of a megabyte keeps the next one
    waiting for `rest` times that, smoothed over the latest answers, but no longer than `SLOWEST`.
    """

    def __init__(
        self,
        ask: Callable[[], float],
        rest: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask, self._rest, self._clock, self._sleep = ask, rest, clock, sleep
        self._lock = threading.Lock()
        self._answer = SLOWEST  # it begins slowly: what there is to disturb is not known yet
        self._free = clock()
        self._waiting = 0

    def take(self, size: int, longest: float = math.inf) -> bool:
        """Wait until a page of `size` bytes may go, `longest` seconds at the most; return False, at once, where too many wait."""
        if not self._rest:
            return True
        with self._lock:
            if self._waiting >= WAITING:
                return False
            self._waiting += 1
            now = self._clock()
            begin = min(max(self._free, now), now + longest)
            end = begin + min(SLOWEST, self._rest * self._answer) * size / MEGABYTE
            self._free = max(self._free, end)
        try:
            self._sleep(begin - now)
            took = self._ask()
        finally:
            with self._lock:
                self._waiting -= 1
        with self._lock:
            self._answer += SMOOTHING * (took - self._answer)
        return True


def question(proxies: Sequence[Mapping[str, Any]]) -> Callable[[], float] | None:
    """Return what asks the proxies, by turns, at their publish ports; None where there are none that can be asked.

    That is answered by the process that delivers events, which is why its time tells.  A service on the internet is not
    asked: its distance would, and it has room for replays of its own.
    """
    urls = [urlsplit(proxy["control_uri"]) for proxy in proxies]
    near = [url for url in urls if url.scheme == "http"]
    return partial(_seconds, cycle(near)) if near else None


def _seconds(proxies: Iterator[SplitResult]) -> float:
    """Return how long the next proxy takes to answer."""
    began, url = time.monotonic(), next(proxies)
    with closing(HTTPConnection(url.hostname or "", url.port, timeout=SLOWEST)) as connection:
        try:
            connection.request("GET", url.path or "/", headers={"Connection": "close"})
            connection.getresponse().read()
        except (OSError, HTTPException):
            return SLOWEST
    return time.monotonic() - began


@Once
def turns() -> Turns:
    """Return the turns of this process."""
    ask = question(conf.GRIP_PROXIES)
    return Turns(ask, conf.KAFKASSE_REPLAY_REST) if ask else Turns(float, 0)
