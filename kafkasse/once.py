"""What a process has one of, made when it is first asked for: librdkafka's threads do not survive a fork."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")


class Once(Generic[Made]):
    """A decorator for a function without arguments: called once, however many threads ask for it at the same time."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self.__doc__ = make.__doc__
        self._lock, self._made = threading.Lock(), cache(make)

    def __call__(self) -> Made:
        """Return what was made; make it, if it is not there yet."""
        with self._lock:
            return self._made()

    @property
    def is_made(self) -> bool:
        """Whether it is there."""
        return bool(self._made.cache_info().currsize)

    def forget(self) -> None:
        """Have it made anew, as a test may want it."""
        self._made.cache_clear()
