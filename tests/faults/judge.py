"""The verdict on what one client got, in nine words."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.records import CorruptError, decode
from tests.harness.check import check
from tests.harness.sse import Received

WORDS = {
    "lost": "was written, and never came",
    "unseen": "came after a gap: the record before it had not come",
    "duplicate": "came twice in one connection",
    "out of order": "came after a later record of its partition, in one connection",
    "phantom": "was never written",
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


def judge(
    events: Iterable[Received],
    topic: str,
    sent: Mapping[int, int],
    last: Mapping[int, int],
    gone: Mapping[int, int] | None = None,
) -> Verdict:
    """Judge one client of `topic`.

    It should have got everything up to `last` of each partition; `sent` says how many were written in all.  Those before
    `gone` were deleted at some time: the client need not have them where it was told that it has not.
    """
    verdict, numbered, excused = Verdict(), [], 0
    for event in events:
        if event.type == "stream-reset":
            told = _told(verdict, event, numbered, gone or {})
            numbered += told
            excused += len(told)
        elif not event.is_notice:
            numbered += _numbered(verdict, event, topic, sent)
    report = check(numbered, last)
    for partition, numbers in report.lost.items():
        verdict.add("lost", f"{len(numbers)} of partition {partition}: {numbers[:5]} ...")
    for word, places in (
        ("unseen", report.skipped),
        ("duplicate", report.repeated),
        ("out of order", report.disordered),
    ):
        for connection, partition, number in places:
            verdict.add(word, f"{number} of partition {partition} in connection {connection}")
    verdict.delivered, verdict.again = report.delivered - excused, report.again
    return verdict


def _told(
    verdict: Verdict, event: Received, before: list[Numbered], gone: Mapping[int, int]
) -> list[Numbered]:
    """Return the records that are gone, as a reset says, as if they had come; what it says has to be true."""
    fields = json.loads(event.data)
    partition, wanted, resumed = (fields.get(name, -1) for name in ("partition", "requested", "resumed"))
    missed = [_record(partition, number, event.connection) for number in range(wanted, resumed)]
    had = {record.data for record in before}
    is_true = fields.get("reason") == "retention" and missed and resumed <= gone.get(partition, 0)
    if is_true and missed[0].data not in had:
        return [record for record in missed if record.data not in had]
    verdict.add("unjustified reset", event.data)
    return []


def _numbered(verdict: Verdict, event: Received, topic: str, sent: Mapping[int, int]) -> list[Numbered]:
    """Return the record that an event is, if it is one of this topic's."""
    try:
        record = decode(event)
    except CorruptError as error:
        verdict.add("corrupt", str(error))
        return []
    if record.topic != topic:
        verdict.add("foreign", str(record))
        return []
    if record.number >= sent.get(record.partition, 0):
        verdict.add("phantom", str(record))
        return []
    return [_record(record.partition, record.number, event.connection)]


def _record(partition: int, number: int, connection: int) -> Numbered:
    return Numbered(f'{{"p":{partition},"seq":{number}}}', connection)
