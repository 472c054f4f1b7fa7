"""The time that one request may take over Kafka, shared by all the questions that it asks.

Each question has a time-out; without a common end they would add up, where some brokers answer and others do not.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 2.5
"""After so long Kafka counts as absent: a request then still ends within 3 s."""
SHORTEST = 0.01
"""What is left to a question that comes too late: librdkafka takes 0 for an answer that is there already."""

_end: ContextVar[float | None] = ContextVar("kafkasse_deadline", default=None)


@contextmanager
def begun() -> Iterator[None]:
    """Let the time of a request run, in this thread, until the block ends."""
    token = _end.set(time.monotonic() + SECONDS)
    try:
        yield
    finally:
        _end.reset(token)


def until(end: float) -> float:
    """Return the seconds until `end`, a time of `time.monotonic`; more than 0."""
    return max(SHORTEST, end - time.monotonic())


def left(at_most: float = SECONDS) -> float:
    """Return the seconds that are left to the request, more than 0; outside of one, `at_most`."""
    end = _end.get()
    return at_most if end is None else min(at_most, until(end))
