"""What nobody listens to is not published: which partitions those are.

Pure; what the proxies say comes from `relay.subscriptions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kafkasse import topics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafkasse.topics import Place


class Subscriptions(Protocol):
    """What is known of the proxies' clients."""

    tells: bool
    """Whether the proxies tell at all who listens."""

    @property
    def known(self) -> bool:
        """Whether all that is listened to is known."""
        raise NotImplementedError

    def news(self) -> set[str]:
        """Return the channels that have got a first subscriber since the last call; does not block."""
        raise NotImplementedError

    def has(self, channel: str) -> bool:
        """Say whether somebody may listen to a channel; True where that cannot be known."""
        raise NotImplementedError


class Everybody:
    """Subscriptions where it cannot be known who listens to what."""

    tells = known = False

    def news(self) -> set[str]:
        """Return nothing: everything has been published."""
        return set()

    def has(self, _channel: str) -> bool:
        """Say yes."""
        return True


@dataclass(slots=True)
class Audience:
    """Who listens, and which channels have been passed over since somebody did."""

    subscriptions: Subscriptions
    prefix: str = ""
    _passed_over: dict[str, Place] = field(default_factory=dict)

    def listens(self, place: Place, tag: str) -> bool:
        """Say whether somebody may listen to a partition, or a whole topic."""
        return self.subscriptions.has(self._channel(place, tag))

    def _channel(self, place: Place, tag: str) -> str:
        topic, partition = place
        return self.prefix + topics.channel(topic, tag, partition)

    def heard(self, places: Iterable[Place], tag: str) -> list[Place]:
        """Return those of a topic's places to which somebody may listen; the others count as passed over."""
        found = []
        for place in places:
            channel = self._channel(place, tag)
            if self.subscriptions.has(channel):
                found.append(place)
            else:
                self._passed_over[channel] = place
        return found

    def arrived(self) -> set[Place]:
        """Return what was passed over and has got a listener."""
        news = self.subscriptions.news()
        return {self._passed_over.pop(channel) for channel in news & self._passed_over.keys()}

    def doubtful(self) -> set[Place]:
        """Return what was passed over, once it cannot be known any more that nobody listens to it."""
        if self.subscriptions.known:
            return set()
        found, self._passed_over = {*self._passed_over.values()}, {}
        return found
