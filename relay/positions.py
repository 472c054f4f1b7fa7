"""Which partitions a relay has, where it is in each, and which topics it has as a whole.

Pure; time is an argument.  A topic all of whose partitions are one relay's is published as one chain.  Commits say so in
their metadata (`kafkasse.offsets.committed`), and holds ask by which chains they are held when they are told to:
docs/adr/0026-one-chain-for-a-whole-topic.md.
"""

from __future__ import annotations

from collections import UserDict
from typing import TYPE_CHECKING

from kafkasse.topics import Key
from relay.chunks import Run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

    from kafkasse.offsets import Committed

HINTS = 0.1, 2.0
"""When the holds of a topic are told that it has turned, in seconds: a commit takes some 10 ms, and a request that looked
before it may be under way for longer."""


class Positions(UserDict[Key, int]):
    """The position in each partition of one member of the group; with `joins` unset no topic is a whole."""

    def __init__(self, *, joins: bool = True) -> None:
        super().__init__()
        self._joins = joins
        self._first: set[Key] = set()
        self._whole: dict[str, int] = {}
        self._turned: set[str] = set()
        self._hints: list[tuple[float, str]] = []

    def begin(self) -> None:
        """Forget all of them."""
        self.clear()
        self._whole = {}

    def take(self, found: Mapping[Key, Committed | None], partitions: Mapping[str, int]) -> None:
        """Take partitions, at their committed positions, or at 0; `partitions` says how many there are of each topic."""
        known = {topic for topic, _partition in self}
        self.update({key: place.position if place else 0 for key, place in found.items()})
        self._turned |= known & self._judge({topic for topic, _partition in found}, partitions)
        # What was said of them by who had them before may not hold any more.
        said = {key: place is not None and place.whole for key, place in found.items()}
        self._turned |= {key[0] for key, whole in said.items() if whole != (key[0] in self._whole)}
        self.moved(found)

    def give_up(self, keys: Collection[Key], partitions: Mapping[str, int]) -> None:
        """Have these partitions no more."""
        for key in keys:
            self.pop(key, None)
        self._turned |= self._judge({topic for topic, _partition in keys}, partitions)

    def moved(self, keys: Iterable[Key]) -> None:
        """Have the next run of these partitions, and of the others of their topics, follow nothing that is published."""
        topics = {topic for topic, _partition in keys}
        self._first |= {key for key in self if key[0] in topics}

    def run(self, key: Key, records: list[Any], tag: str) -> Run | None:
        """Return records as a run that joins the last one, and be behind it; None where there is nothing new of ours."""
        position = self.get(key)
        if position is None:
            return None
        if records[0][0] < position:
            records = [record for record in records if record[0] >= position]
        if not records:
            return None
        self[key] = records[-1][0] + 1
        first = key in self._first
        self._first.discard(key)
        return Run(key[0], tag, key[1], position, records, first)

    # --- topics as a whole -------------------------------------------------------------------------------------------

    def whole(self) -> Collection[str]:
        """Return the topics all of whose partitions are here."""
        return self._whole.keys()

    def vector(self, topic: str) -> list[int]:
        """Return where one of these topics is, in each of its partitions."""
        return [self[topic, each] for each in range(self._whole[topic])]

    def _judge(self, topics: Iterable[str], partitions: Mapping[str, int]) -> set[str]:
        """Find out which of some topics are a whole by now; return those of which that has changed."""
        changed = set()
        for topic in topics:
            was_whole = self._whole.pop(topic, 0) > 0
            count = partitions.get(topic, 0) if self._joins else 0
            is_whole = count > 0 and all((topic, each) in self for each in range(count))
            if is_whole:
                self._whole[topic] = count
            if is_whole != was_whole:
                changed.add(topic)
        return changed

    def turned(self, now: float) -> set[Key]:
        """Return the partitions of which has to be committed whether they are of a whole topic; `now` in seconds.

        They are of topics that have become one, or ceased to be; who is held by those is to be told some time after `now`.
        """
        turned, self._turned = self._turned, set()
        keys = {key for key in self if key[0] in turned} if turned else set()
        self._hints += [
            (now + after, topic) for after in HINTS for topic in {topic for topic, _partition in keys}
        ]
        return keys

    def due(self, now: float) -> set[str]:
        """Return the topics whose holds have to be told now."""
        due = {topic for at, topic in self._hints if at <= now}
        self._hints = [(at, topic) for at, topic in self._hints if at > now]
        return due
