"""When to remind the proxy of a silent partition.

Pure; time is an argument.  A client that was slow may lack the last items of a partition: the proxy keeps a hundred for it
and drops the others.  It finds that out at the next item, and where none comes, it does not: it has stopped to ask for
such a client (docs/adr/0014-silent-partitions-are-reminded-of.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kafkasse.topics import Place


SILENCE = 20.0
"""After so many seconds without an item; longer than the proxy remembers an id (`id_cache_ttl`)."""
MOST = 1000
"""How many are reminded of at a time; the others follow at the next look."""


@dataclass(slots=True)
class Reminders:
    """When each partition was published to last, or reminded of, by the times of a clock in seconds."""

    _last: dict[Place, float] = field(default_factory=dict)

    def published(self, keys: Iterable[Place], now: float) -> None:
        """Take note of items."""
        for key in keys:
            self._last[key] = now

    def due(self, mine: Collection[Place], now: float) -> list[Place]:
        """Return those of the relay's partitions that have been silent for long, and take them as reminded of."""
        self._last = {key: self._last.get(key, now) for key in mine}
        silent = [key for key, last in self._last.items() if now - last >= SILENCE][:MOST]
        self.published(silent, now)
        return silent
