"""The verdict on what one client got, in nine words."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.records import CorruptError, Record, decode, superseded
from tests.harness.check import check
from tests.harness.sse import Received

WORDS = {
    "lost": "was written, and never came",
    "unseen": "came after a gap: the record before it had not come",
    "duplicate": "came twice in one connection",
    "out of order": "came after a later record of its partition, in one connection",
    "phantom": "was never written; or is of a topic that was deleted, after something of the one that came in its place",
    "corrupt": "came with another content than was written",
    "foreign": "belongs to another topic",
    "silent death": "stayed connected, and got nothing more for a minute",
    "unjustified reset": "`stream-reset`, though the log had what it says is gone, or the client had it",
}


class Numbered(NamedTuple):
    """A record as the checker reads it."""

    data: str
    connection: int


@dataclass
class Verdict:
    """What was wrong, by word, each with what was seen; nothing means that all is well."""

    found: dict[str, list[str]] = field(default_factory=dict)
    delivered: int = 0
    again: int = 0  # in a later connection, as they may

    def add(self, word: str, seen: str) -> None:
        """Take note of something wrong."""
        assert word in WORDS, word
        self.found.setdefault(word, []).append(seen)


@dataclass
class Fate:
    """What became of a topic's records, besides that clients got them: each by partition.

    The client need not have what was deleted where it was told that it has not, nor what was superseded before the log was
    compacted.  Of a topic that was deleted and created again, everything is numbered from 0 again, as another generation.
    """

    deleted: Mapping[int, int] = field(default_factory=dict)  # what was before these numbers, at some time
    compacted: Mapping[int, int] = field(default_factory=dict)  # what was before these
    earlier: list[Mapping[int, int]] = field(default_factory=list)  # how many the topics before this one got


def judge(
    events: Iterable[Received],
    topic: str,
    sent: Mapping[int, int],
    last: Mapping[int, int],
    fate: Fate | None = None,
) -> Verdict:
    """Judge one client of `topic`.

    It should have got everything up to `last` of each partition; `sent` says how many were written in all.
    """
    fate = fate or Fate()
    client = _Client(topic, sent, fate)
    for event in events:
        if event.type == "stream-reset":
            client.is_told(event)
        elif not event.is_notice:
            client.gets(event)
    # Behind the last record of a topic that was deleted comes its end, of which everybody has to be told.
    for generation, goal in enumerate([*fate.earlier, last]):
        client.finish(generation, goal)
    return client.verdict


class _Client:
    """What one client had by then.  What it need not have counts as if it had come, in its place."""

    def __init__(self, topic: str, sent: Mapping[int, int], fate: Fate) -> None:
        self.verdict = Verdict()
        self._topic, self._fate = topic, fate
        self._sent = [*fate.earlier, sent]
        self._holes = {partition: superseded(count) for partition, count in fate.compacted.items()}
        self._newest = Counter[int]()  # by partition: the generation that it knows of
        self._ended = Counter[int]()  # by partition: how many generations are over, as it was told
        self._had: set[Record] = set()
        self._numbered: defaultdict[int, list[Numbered]] = defaultdict(list)  # by generation

    def is_told(self, event: Received) -> None:
        """Take a reset; what it says has to be true."""
        fields = json.loads(event.data)
        partition, wanted = fields.get("partition"), fields.get("requested")
        generation, end = self._gone(fields)
        if not end or wanted >= end or (first := self._record(partition, wanted, generation)) in self._had:
            self.verdict.add("unjustified reset", event.data)
            return
        for number in range(first.number, end):
            self._excuse(self._record(partition, number, generation), event.connection)
        if fields["reason"] == "recreated":
            self._ended[partition] += 1
            self._knows(partition, self._ended[partition])

    def _gone(self, fields: Mapping[str, Any]) -> tuple[int, int]:
        """Return of which generation, and before which number, a partition's records are gone; 0 where they are not."""
        partition, resumed = fields.get("partition"), fields.get("resumed") or 0
        match fields.get("reason"):
            case "retention" if resumed <= self._fate.deleted.get(partition, 0):
                return len(self._fate.earlier), resumed
            case "recreated" if self._ended[partition] < len(self._fate.earlier) and not resumed:
                generation = self._ended[partition]
                return generation, self._fate.earlier[generation].get(partition, -1) + 1
        return 0, 0

    def gets(self, event: Received) -> None:
        """Take an event that should be a record of this topic."""
        try:
            record = decode(event)
        except CorruptError as error:
            self.verdict.add("corrupt", str(error))
            return
        if record.topic != self._topic:
            self.verdict.add("foreign", str(record))
        elif not self._exists(record):
            self.verdict.add("phantom", str(record))
        else:
            self._knows(record.partition, record.generation)
            self._pass_holes(record, event.connection)
            self._add(record, event.connection)

    def _exists(self, record: Record) -> bool:
        """Say whether a record was written to the topic that the client knows, or to a later one."""
        if not self._newest[record.partition] <= record.generation < len(self._sent):
            return False
        return record.number < self._sent[record.generation].get(record.partition, 0)

    def _knows(self, partition: int, generation: int) -> None:
        self._newest[partition] = max(generation, self._newest[partition])

    def _pass_holes(self, record: Record, connection: int) -> None:
        """Excuse what compaction may have taken right before a record."""
        holes = self._holes.get(record.partition, ())
        first = record.number
        while first - 1 in holes and record._replace(number=first - 1) not in self._had:
            first -= 1
        for number in range(first, record.number):
            self._excuse(record._replace(number=number), connection)

    def _record(self, partition: int, number: int, generation: int) -> Record:
        return Record(self._topic, partition, number, generation)

    def _excuse(self, record: Record, connection: int) -> None:
        self._add(record, connection)
        self.verdict.delivered -= 1

    def _add(self, record: Record, connection: int) -> None:
        self._had.add(record)
        data = f'{{"p":{record.partition},"seq":{record.number}}}'
        self._numbered[record.generation].append(Numbered(data, connection))

    def finish(self, generation: int, goal: Mapping[int, int]) -> None:
        """Judge what came of one generation, of which everything up to `goal` should have."""
        report = check(self._numbered[generation], goal)
        of = f"{generation}/" if generation else ""
        for partition, numbers in report.lost.items():
            self.verdict.add("lost", f"{len(numbers)} of partition {of}{partition}: {numbers[:5]} ...")
        for word, places in (
            ("unseen", report.skipped),
            ("duplicate", report.repeated),
            ("out of order", report.disordered),
        ):
            for connection, partition, number in places:
                self.verdict.add(word, f"{number} of partition {of}{partition} in connection {connection}")
        self.verdict.delivered += report.delivered
        self.verdict.again += report.again
