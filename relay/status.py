"""The relay's status line on a terminal: records a second, lag, items, the last publish."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.core.management.base import OutputWrapper

    from relay.runner import Runner

INTERVAL = 1.0
"""Seconds between two updates."""


def reporter(stream: OutputWrapper, clock: Callable[[], float] = time.monotonic) -> Callable[[Runner], None]:
    """Return what to call after each tick: it rewrites one line of a terminal, and writes nothing elsewhere."""
    if not stream.isatty():
        return lambda _runner: None
    shown_at, shown = clock(), 0

    def report(runner: Runner) -> None:
        nonlocal shown_at, shown
        now = clock()
        read = runner.totals.records + runner.totals.unheard
        if now - shown_at >= INTERVAL:
            rate = (read - shown) / (now - shown_at)
            stream.write(f"\r\x1b[K{line(runner, rate, now)}", ending="")
            stream.flush()
            shown_at, shown = now, read

    return report


def line(runner: Runner, rate: float, now: float) -> str:
    """Return the status as text; `rate` is in records a second."""
    totals = runner.totals
    ago = "never" if totals.last_publish is None else f"{now - totals.last_publish:.0f} s ago"
    return (
        f"{rate:,.0f} records/s, {runner.source.lag():,} behind; "
        f"{totals.records:,} records in {totals.items:,} items, {totals.unheard:,} unheard; last publish {ago}"
    )
