"""Which topic of its name each topic is that the relay reads (`kafkasse.catalog`), and when it becomes another one.

A consumer goes by names.  Where a topic is deleted and created again between two looks of librdkafka at the metadata, it
reads on in the new log at the old place, and what lies before it would never be published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from kafkasse import cursor
from relay.consumer_config import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from concurrent.futures import Future

    from kafkasse.catalog import Catalog
    from kafkasse.topics import Key

LOOK = 5.0
"""How often it is looked for topics that were created again, in seconds."""


class Tags:
    """The tags of the relay's topics."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.known: dict[str, str] = {}
        self.partitions: dict[str, int] = {}
        self._others: set[str] = set()
        self._asked: Mapping[str, Future[Any]] = {}
        self._next_look = float("-inf")

    def of(self, topic: str) -> str:
        """Return the tag of a topic; of its name alone, where nobody knows the topic (any more)."""
        return self.known.get(topic) or cursor.tag(topic)

    def learn(self, names: Collection[str]) -> None:
        """Ask for the tags of topics; blocks for `TIMEOUT` at the most, and raises what librdkafka raises."""
        found = self._catalog.topics(names, TIMEOUT)
        self.partitions |= {name: topic.partitions for name, topic in found.items()}
        self._others |= self._take(
            {name: found[name].tag if name in found else cursor.tag(name) for name in names}
        )

    def _take(self, tags: Mapping[str, str]) -> set[str]:
        """Take these tags for the present ones; return the topics that had others."""
        others = {name for name, tag in tags.items() if self.known.get(name, tag) != tag}
        self.known |= tags
        return others

    def doubt(self) -> None:
        """Have the next look come at once: something of a topic is not as it was."""
        self._next_look = float("-inf")

    def changed(self, keys: Iterable[Key], now: float) -> set[str]:
        """Return the topics of these partitions that have become others since they were asked for last; does not block.

        `now` is the time of a clock in seconds.  A topic that is gone is no other yet.
        """
        if self._others:  # seen to be gone in between, and learnt anew
            others, self._others = self._others, set()
            return others
        if not self._asked:
            if now >= self._next_look:
                self._next_look = now + LOOK
                self._asked = self._catalog.ask({topic for topic, _partition in keys}, TIMEOUT)
            return set()
        if not all(answer.done() for answer in self._asked.values()):
            return set()
        answers, self._asked = self._asked, {}
        try:
            found = self._catalog.collected(answers, 0)
        except KafkaException:
            return set()  # another look follows
        return self._take({name: topic.tag for name, topic in found.items()})
