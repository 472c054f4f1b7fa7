"""Waiting for a condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE = 20  # what has taken so many seconds is asked again after one, or after LONGEST
LONGEST = 0.25


def until(
    condition: Callable[[], Value], timeout: float, what: str | Callable[[], str], interval: float = 0.02
) -> Value:
    """Return the first true value of `condition`, asked after `interval` seconds, and ever more rarely.

    What takes seconds is not asked fifty times a second: that would be most of what some tests cost.

    Raises AssertionError, which says `what` did not happen, after `timeout` seconds; a function as `what` is called
    only then, so it can tell how far things came.
    """
    began = time.monotonic()
    deadline = began + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(max(interval, min((time.monotonic() - began) / PATIENCE, LONGEST)))
