"""Records that show what became of them: numbered, with a checksum, and of every kind that there is."""

import base64
import json
import zlib
from typing import Any, NamedTuple

from tests.harness.check import NumberedWriter
from tests.harness.sse import Received

NOT_UTF8 = b"\xff\x00"
ODD = "%I %(x)s %% \u2028 \u00e9 \U0001f600 \ufeff data: id: \\0"
LARGE = 70_000  # bytes: more than an item takes
CYCLE = 50  # of so many records of a partition, one is of each special kind
TOMBSTONE = 7  # which of them has no value
KEYS = 9  # that all others share, in turn: none of them belongs to one kind only


class CorruptError(ValueError):
    """What came is not what was written."""


class Record(NamedTuple):
    """Which record it is; `generation` counts the topics of that name."""

    topic: str
    partition: int
    number: int
    generation: int = 0


class CheckedWriter(NumberedWriter):
    """Writes such records."""

    generation = 0

    def record(self, partition: int, number: int) -> dict[str, bytes | None]:
        """Return the value and the key of one record."""
        return encode(Record(self.topic, partition, number, self.generation))

    def begin_again(self) -> dict[int, int]:
        """Begin with 0 in a topic that was created again; return how many records the one before it got.

        To be called between `stop` and `start`.
        """
        before = self.sent
        self.generation += 1
        self._begin()
        return before


def encode(record: Record) -> dict[str, bytes | None]:
    """Return the value and the key of a record; its kind goes by its number."""
    kind = record.number % CYCLE
    pad = ODD if kind == 47 else "x" * 40
    if kind == 37:
        pad = "x" * LARGE
    fields = {**record._asdict(), "pad": pad, "crc": _sum(record, pad)}
    text = json.dumps(fields, ensure_ascii=False, indent=1 if kind == 27 else None)
    value = text.replace("\n", "\r\n" if record.number % 2 else "\n").encode()
    if kind == TOMBSTONE:
        return {"value": None, "key": value}
    return {"value": NOT_UTF8 + value if kind == 17 else value, "key": b"%d" % (record.number % KEYS)}


def superseded(count: int) -> set[int]:
    """Return which of a partition's first records, so many, had been followed by one with the same key.

    A tombstone's key is its own.
    """
    shared = [number for number in range(count) if number % CYCLE != TOMBSTONE]
    newest = {number % KEYS: number for number in shared}
    return {*shared} - {*newest.values()}


def decode(event: Received) -> Record:
    """Return which record an event is; raise `CorruptError` where it is none that was written like that."""
    try:
        fields = json.loads(_text(event))
        pad = fields["pad"]
        numbers = (int(fields[name]) for name in ("partition", "number", "generation"))
        record = Record(str(fields["topic"]), *numbers)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{event.type} {event.data[:80]!r}") from error
    if fields["crc"] != _sum(record, pad):
        raise CorruptError(f"{record}: another checksum")
    return record


def _text(event: Received) -> Any:
    if event.type == "tombstone":
        return json.loads(event.data)["key"]
    if event.type == "binary":
        return base64.b64decode(event.data, validate=True).removeprefix(NOT_UTF8)
    return event.data


def _sum(record: Record, pad: str) -> int:
    return zlib.crc32(f"{record}{pad}".encode())
