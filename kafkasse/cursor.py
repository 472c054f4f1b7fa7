"""The cursor: a client's position in every partition, written as the id of an event.

    cursor   = tag "." own "." rest  /  tag "." own
    tag      = "1" name epoch         the version of this grammar, and the topic
    name     = 4 base-36 digits       of a hash of the topic's name
    epoch    = 4 base-36 digits       of a hash of its name and of the id that Kafka gave it when it was created
    own      = partition "-" position
    rest     = vector                 of the tag's topic
             / "-"                    the client reads that partition alone
             / section *( "~" section )    several topics, each once
    section  = tag "~" vector
    vector   = position *( "." position )      one for each partition, from 0 on

A *position* is the offset of the next record to read.  All numbers are in base 36, lower case: shorter than decimal,
and only `[0-9a-z.~-]` may stand in an id (other characters make a browser send a CORS preflight when it resumes).

`own` is the position after the event that carries the id.  It overrides the vector's entry: in a live event the vector is
that before several events, or where the proxy fills it in, for a whole item, before (1.41) or after (1.36) that; but each
event has a place of its own.
Without a rest the cursor knows one partition only.  docs/reference/cursor.md has the cases.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from kafkasse.exceptions import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
VERSION = "1"
ALONE = "-"
"""What stands in place of the vector in a stream of one partition alone."""
MAX_POSITION = 2**63 - 1
MAX_PARTITION = 2**31 - 1
MAX_LENGTH = 16_384
"""Longer than the cursor of 1,000 partitions; anything beyond was not written here."""

_PAIRS = [high + low for high in DIGITS for low in DIGITS]
_LOW = len(_PAIRS)
_VECTOR = r"[0-9a-z]{1,13}(?:\.[0-9a-z]{1,13})*"
_TAG = "1[0-9a-z]{8}"
_CURSOR = re.compile(
    rf"(?P<tag>{_TAG})\.(?P<partition>[0-9a-z]{{1,6}})-(?P<position>[0-9a-z]{{1,13}})"
    rf"(?:\.(?:(?P<alone>-)|(?P<vector>{_VECTOR})|(?P<sections>{_TAG}~{_VECTOR}(?:~{_TAG}~{_VECTOR})*)))?"
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Positions by partition, for each tag; `alone` when it is of one partition's stream."""

    positions: Mapping[str, Mapping[int, int]]
    alone: bool = False


@lru_cache(maxsize=65_536)
def _high(number: int) -> str:
    """Return the digits in front of the last two: the same for 1,296 records in a row, hence the cache."""
    return encode_number(number) if number else ""


def encode_number(number: int) -> str:
    """Return `number`, which is not negative, in base 36."""
    high, low = divmod(number, _LOW)
    return _high(high) + _PAIRS[low] if high else _PAIRS[low].removeprefix("0") or "0"


def encoder() -> Callable[[int], str]:
    """Return a function that does the same, in half the time where numbers follow one another; for one thread."""
    begin, digits = 0, ""

    def encode(number: int) -> str:
        nonlocal begin, digits
        if digits and 0 <= (low := number - begin) < _LOW:
            return digits + _PAIRS[low]
        high, low = divmod(number, _LOW)
        begin, digits = number - low, _high(high)
        return encode_number(number)

    return encode


def decode_number(text: str) -> int:
    """Return the number that `text`, base-36 digits in lower case, stands for; raise `CursorError` for anything else."""
    if not re.fullmatch("[0-9a-z]{1,13}", text):
        raise CursorError
    number = int(text, 36)
    if number > MAX_POSITION:
        raise CursorError
    return number


def decode_partition(text: str) -> int:
    """Return the number of a partition that `text` stands for; raise `CursorError` for anything else."""
    if (number := decode_number(text)) > MAX_PARTITION:
        raise CursorError
    return number


@lru_cache(maxsize=4096)
def tag(topic: str, topic_id: str = "") -> str:
    """Return the tag of `topic`, to which Kafka gave `topic_id`; of the name alone, where there is no id (yet)."""
    name, whole = _digits(topic, 4), _digits(f"{topic_id}:{topic}", 4)
    return VERSION + name + whole


def _digits(text: str, count: int) -> str:
    digest = hashlib.blake2s(text.encode(), digest_size=8).digest()
    return encode_number(int.from_bytes(digest) % 36**count).rjust(count, "0")


def is_tag_of(text: str, topic: str) -> bool:
    """Say whether a tag belongs to a topic of this name, of now or of once."""
    return text[:5] == tag(topic)[:5]


def head(topic_tag: str, partition: int) -> str:
    """Return what the ids of all events of one partition begin with: all but the position and the rest."""
    return f"{topic_tag}.{encode_number(partition)}-"


def rest(vectors: Mapping[str, str]) -> str:
    """Return what follows the own position, given the vector of each tag."""
    if len(vectors) == 1:
        return next(iter(vectors.values()))
    return "~".join(f"{each}~{vector}" for each, vector in vectors.items())


def tag_alone(text: str) -> tuple[str, int] | None:
    """Return the tag and the partition that a client reads alone, by its cursor; None for all, and for what is no cursor."""
    try:
        found = decode(text)
    except CursorError:
        return None
    return (
        next((tag, partition) for tag, of in found.positions.items() for partition in of)
        if found.alone
        else None
    )


def decode(text: str) -> Cursor:
    """Return what `text` stands for; raise `CursorError` when it was not written here."""
    match = _CURSOR.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if not match:
        raise CursorError
    parts = (match["sections"] or f"{match['tag']}~{match['vector'] or ''}").split("~")
    found = {
        tag: positions(vector) if vector else {} for tag, vector in zip(parts[::2], parts[1::2], strict=True)
    }
    if match["tag"] not in found or 2 * len(found) < len(parts):
        raise CursorError
    found[match["tag"]][decode_partition(match["partition"])] = decode_number(match["position"])
    return Cursor(found, match["alone"] is not None)


def positions(vector: str) -> dict[int, int]:
    """Return the position in each partition that a vector names; raise `CursorError` when it is none."""
    return {each: decode_number(entry) for each, entry in enumerate(vector.split("."))}
