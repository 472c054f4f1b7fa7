"""When to remind the proxy of a silent partition, and to tell it whom it need not ask for.

Pure; time is an argument.  A client that was slow may lack the last items of a partition: the proxy keeps a hundred for it
and drops the others.  It finds that out at the next item, and where none comes, it does not: it has stopped to ask for
such a client (docs/adr/0014-silent-partitions-are-reminded-of.md).  Who is held by a whole topic, and has everything, need
not be asked for at all (docs/adr/0027-who-is-in-line-is-not-asked-for.md).
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
    """When each partition was published to last, or reminded of, by the times of a clock in seconds.

    Half of `next_timeout`, after which the proxy asks for a client, is often enough to tell that a topic is busy.
    """

    next_timeout: float = 29.0
    _last: dict[Place, float] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _told: dict[str, float] = field(default_factory=dict)

    def published(self, places: Iterable[Place], now: float) -> None:
        """Take note of items by which clients that are in line get all there is."""
        for place in places:
            self._last[place] = now
            if place[1] is None:
                self._busy.add(place[0])

    def due(self, mine: Collection[Place], now: float) -> list[Place]:
        """Return those of the relay's partitions that have been silent for long, and take them as reminded of."""
        self._last = {key: self._last.get(key, now) for key in mine}
        silent = [key for key, last in self._last.items() if now - last >= SILENCE][:MOST]
        self._last |= dict.fromkeys(silent, now)
        return silent

    def busy(self, now: float) -> set[str]:
        """Return the topics on whose own chains there were items since they were returned last, and take them as told."""
        due = now - self.next_timeout / 2
        busy = {topic for topic in self._busy if self._told.get(topic, due) <= due}
        self._busy -= busy
        self._told |= dict.fromkeys(busy, now)
        return busy

    def spared(self, place: Place) -> bool:
        """Say whether the clients of a place have not been asked for since it was busy; take them as asked for now."""
        topic, partition = place
        return partition is None and self._told.pop(topic, None) is not None
