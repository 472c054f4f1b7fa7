"""Waiting for a condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def until(
    condition: Callable[[], Value], timeout: float, what: str | Callable[[], str], interval: float = 0.02
) -> Value:
    """Return the first true value of `condition`, asked every `interval` seconds.

    Raises AssertionError, which says `what` did not happen, after `timeout` seconds; a function as `what` is called
    only then, so it can tell how far things came.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(interval)
