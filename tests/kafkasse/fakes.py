"""Stand-ins for what the parts meet: Pushpin's `build-id` filter, the look-up of Kafka's positions, and Kafka's answers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

from confluent_kafka import KafkaError, TopicPartition

from kafkasse import cursor
from kafkasse.exceptions import TopicChangedError
from kafkasse.offsets import EARLIEST
from kafkasse.positions import Known
from kafkasse.topics import Key

DIRECTIVE = re.compile(r"%(?:%|I|\(((?:\\.|[^\\)])+)\)I)?", re.DOTALL)


def build_id_filter(content: str, vector: str = "") -> str:
    """Return what Pushpin 1.36 makes of an item's content, or an answer's; raise ValueError where it would close the client.

    Only `%%`, `%I` and `%(text)I`, which stands for its text, mean something to it (format.cpp, idformat.cpp).
    """

    def meant(found: re.Match[str]) -> str:
        if found[0] in {"%%", "%I"}:
            return "%" if found[0] == "%%" else vector
        if found[1] is None:
            raise ValueError(
                f"{content[found.start() : found.start() + 20]} is nothing that the filter knows"
            )
        return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL)

    return DIRECTIVE.sub(meant, content)


@dataclass
class FullIntake:
    """An intake of which another client has just taken some `seconds`, of pages that are `sealed` or not."""

    sealed: bool = False
    seconds: int = 7
    sizes: list[int] = field(default_factory=list)

    def delay(self, size: int, *, sealed: bool) -> int:
        """Take note of what a client has before it."""
        assert sealed == self.sealed
        self.sizes.append(size)
        return self.seconds


@dataclass
class FakeLookup:
    """A look-up that answers from memory; `asked` has the questions about the logs, in order."""

    begins: Mapping[Key, int] = field(default_factory=dict)
    ends_: Mapping[Key, int] = field(default_factory=dict)
    times: Mapping[Key, int] = field(default_factory=dict)
    known: Known = field(default_factory=lambda: Known({}, {}))
    has_times: bool = True
    asked: list[tuple[tuple[Key, ...], int]] = field(default_factory=list)

    def committed(self, names: tuple[str, ...]) -> Known:
        """Return what is given of these topics."""
        tags = {name: self.known.tags[name] for name in names}
        positions = {key: at for key, at in self.known.positions.items() if key[0] in tags}
        return Known(tags, positions, self.known.missing & tags.keys(), self.known.whole & tags.keys())

    def require(self, tags: Mapping[str, str]) -> None:
        """Raise where the topics have other tags by now, as far as any are given."""
        if any(self.known.tags.get(name, tag) != tag for name, tag in tags.items()):
            raise TopicChangedError

    def ends(self, partitions: Iterable[Key], which: int) -> dict[Key, int]:
        """Return the begins or the ends given, 0 where there is none."""
        asked = tuple(partitions)
        self.asked.append((asked, which))
        found = self.begins if which == EARLIEST else self.ends_
        return {key: found.get(key, 0) for key in asked}

    def at(self, partitions: Iterable[Key], milliseconds: int) -> dict[Key, int]:
        """Return the offsets given, -1 where there is no record from that time on."""
        asked = tuple(partitions)
        self.asked.append((asked, milliseconds))
        return {key: self.times.get(key, -1) for key in asked}

    def knows_times(self) -> bool:
        """Say whether it was told so."""
        return self.has_times


ASKED = [TopicPartition("t", 0), TopicPartition("t", 1)]
TAGS = {"t": cursor.tag("t", "id of now")}


class Broker:
    """A consumer whose broker answers with (offset, error code, metadata) for each partition."""

    def __init__(self, *answers):
        """Take the answers."""
        self.answers = answers

    def offsets_for_times(self, asked, _timeout):
        """Answer."""
        return [
            SimpleNamespace(
                topic=each.topic,
                partition=each.partition,
                offset=offset,
                error=KafkaError(code) if code else None,
                metadata=next(iter(metadata), None),
            )
            for each, (offset, code, *metadata) in zip(asked, self.answers, strict=True)
        ]

    committed = offsets_for_times
