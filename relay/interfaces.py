"""What the relay's loop needs of what reads Kafka; `relay.source` implements it, and the unit tests' fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kafkasse.topics import Key
    from relay.chunks import Item, Run


class Source(Protocol):
    """What the runner needs of a source; `relay.source.Source` documents each."""

    def start(self) -> None:
        """Begin; may raise `KafkaUnavailableError`, and be called again."""

    def read(self, timeout: float) -> list[Run]:
        """Return what has been written since, waiting up to `timeout` seconds for a first record."""
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        """Pass the time without reading."""

    def positions(self) -> Mapping[Key, int]:
        """Return where each partition of this relay is."""
        raise NotImplementedError

    def whole(self) -> Collection[str]:
        """Return the topics all of whose partitions are this relay's, and that have one chain."""
        raise NotImplementedError

    def vector(self, topic: str) -> list[int]:
        """Return where each partition of such a topic is."""
        raise NotImplementedError

    def tag(self, topic: str) -> str:
        """Return which topic of its name one of this relay's is."""
        raise NotImplementedError

    def appeared(self) -> set[str]:
        """Return the topics that got partitions, or became others, since the last call."""
        raise NotImplementedError

    def commit(self, items: Iterable[Item], *, wait: bool = False) -> None:
        """Commit the positions after `items`."""

    def rest(self, keys: set[Key]) -> None:
        """Read nothing of these partitions until they are woken."""

    def wake(self, keys: set[Key]) -> None:
        """Read these partitions again."""

    def follow(self) -> list[Item]:
        """Return what there is to commit of resting partitions."""
        raise NotImplementedError

    def is_live(self, topic: str) -> bool:
        """Say whether there is no more of a whole topic, as far as can be known."""
        raise NotImplementedError

    def lag(self) -> int:
        """Return how many records are still to be read, about."""
        raise NotImplementedError

    def close(self) -> None:
        """End; blocks for a few seconds at the most."""
