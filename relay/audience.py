"""What nobody listens to is not published: which partitions those are.

Pure; what the proxies say comes from `relay.subscriptions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kafkasse import topics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafkasse.topics import Key


class Subscriptions(Protocol):
    """What is known of the proxies' clients."""

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

    known = False

    def news(self) -> set[str]:
        """Return nothing: everything has been published."""
        return set()

    def has(self, _channel: str) -> bool:
        """Say yes."""
        return True


@dataclass(slots=True)
class Audience:
    """Who listens, and by channel which partitions have been passed over since somebody did."""

    subscriptions: Subscriptions
    prefix: str = ""
    _passed_over: dict[str, Key] = field(default_factory=dict)

    def listens(self, topic: str, tag: str, partition: int) -> bool:
        """Say whether somebody may listen to a partition."""
        return self.subscriptions.has(self.prefix + topics.channel(topic, tag, partition))

    def arrived(self) -> set[Key]:
        """Return the partitions that were passed over and have got a listener."""
        news = self.subscriptions.news()
        return {self._passed_over.pop(channel) for channel in news & self._passed_over.keys()}

    def doubtful(self) -> set[Key]:
        """Return the partitions that were passed over, once it cannot be known any more that nobody listens to them."""
        if self.subscriptions.known:
            return set()
        found, self._passed_over = {*self._passed_over.values()}, {}
        return found

    def unheard(self, partitions: Iterable[tuple[str, str, int]]) -> set[Key]:
        """Return those of the partitions (topic, tag, number) to which nobody listens; they count as passed over."""
        found = {}
        for topic, tag, partition in partitions:
            channel = self.prefix + topics.channel(topic, tag, partition)
            if not self.subscriptions.has(channel):
                found[channel] = topic, partition
        self._passed_over |= found
        return {*found.values()}
