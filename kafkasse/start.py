"""What the URL of a stream asks for: where it starts, where it ends, how often it beats.

Pure: parameters are text as the client sent it, percent-decoded, and the present is an argument.

    offset = latest | earliest            only what comes (the default), or all that is there
    partition = P & offset = N            one partition, from an exact offset
    last = N                              the last N records of the topic
    since = TIME                          the records from then on; a time to come means none yet
    until = now | TIME                    the end of the stream, which is otherwise open
    heartbeat = SECONDS

    TIME = ISO 8601, milliseconds since the epoch, or `-` N (`s` | `m` | `h` | `d`): so long before now

Digits alone are always milliseconds, also where ISO 8601 would read a year or a date without hyphens.
All numbers are ASCII and fit Kafka's own types, so what is refused here never reaches Kafka.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kafkasse.cursor import MAX_PARTITION
from kafkasse.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_OFFSET = 2**63 - 1
MAX_TIME = 2**63 - 1
"""In milliseconds, as Kafka keeps a record's time; it gives negative ones a meaning of its own."""
HEARTBEAT_MIN, HEARTBEAT_MAX = 5, 300
"""In seconds: more often would load the proxy for nothing, more seldom would not tell live from stuck."""

TIMES = (
    "ISO 8601: 2026-01-31T12:30:00Z, 2026-01-31T13:30:00+01:00",
    "ISO 8601, UTC where it names no zone: 2026-01-31T12:30, 2026-01-31",
    "milliseconds since 1970: 1769862600000",
    "before now: -10s, -10m, -2h, -1d",
)
"""The accepted forms of a time, each with examples."""

NAMES = ("offset", "partition", "last", "since", "until", "heartbeat")
_MODES = ("offset", "last", "since")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile("[0-9]{1,19}")
_RELATIVE = re.compile("-(?P<count>[0-9]{1,19})(?P<unit>[smhd])")
# Stricter than `fromisoformat`, which takes any character between date and time, 10:00.5 for half a second, +00:60 for
# an hour, and 24:00 from Python 3.14 on.  A zone's plus that nobody encoded arrives as a space.
_ISO = re.compile(
    r"(?P<date>[0-9W-]{7,10})"
    r"(?:[Tt ](?P<time>(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]{1,9})?)?)?)"
    r"(?P<zone>[Zz]|[ +-][0-9]{2}(?::?[0-5][0-9])?)?)?"
)


@dataclass(frozen=True, slots=True)
class Latest:
    """Only the records that come."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """All records that the log has."""


@dataclass(frozen=True, slots=True)
class Last:
    """The last `count` records of the topic, by time across partitions."""

    count: int


@dataclass(frozen=True, slots=True)
class Since:
    """The records from `time` on, in milliseconds since the epoch; it may be to come."""

    time: int


@dataclass(frozen=True, slots=True)
class Exactly:
    """One partition, from `offset` on."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Now:
    """The log's end as it is when the request is answered: no clock is asked, so it holds without time look-up."""


@dataclass(frozen=True, slots=True)
class Until:
    """The records up to `time`, in milliseconds since the epoch; it may be to come."""

    time: int


Mode = Latest | Earliest | Last | Since | Exactly
End = Now | Until


@dataclass(frozen=True, slots=True)
class Request:
    """Where the stream starts; where it ends, None for never; seconds between heartbeats, None for the usual."""

    start: Mode
    until: End | None = None
    heartbeat: int | None = None

    @property
    def partition(self) -> int | None:
        """The partition that is asked for alone, if any."""
        return self.start.partition if isinstance(self.start, Exactly) else None


def parse(query: Mapping[str, str], now: float, max_last: int) -> Request:
    """Return what `query` asks for at `now`, in seconds since the epoch; other parameters are not looked at.

    Raises `ParameterError` for a value in none of the accepted forms, for one out of range, and for two starts.
    """
    return Request(_start(query, now, max_last), _until(query, now), _heartbeat(query))


def resumption(query: Mapping[str, str], now: float) -> Request:
    """Return what of `query` still counts for a client that comes back with a cursor: end and heartbeat, if readable."""
    request = Request(Latest())
    with suppress(ParameterError):
        request = replace(request, until=_until(query, now))
    with suppress(ParameterError):
        request = replace(request, heartbeat=_heartbeat(query))
    return request


def named_once(lists: Iterable[tuple[str, list[str]]]) -> dict[str, str]:
    """Return the parameters of a URL, of which each has a list of values; refuse two values for one of ours.

    Raises `ParameterError`.
    """
    query = {}
    for name, values in lists:
        if name in NAMES and len(values) > 1:
            raise ParameterError(f"{name} is named more than once", name, (f"{name} once",))
        query[name] = values[-1]
    return query


def _start(query: Mapping[str, str], now: float, max_last: int) -> Mode:
    """Return where to start; more than one place is no place."""
    _refuse_conflicts(query)
    if "last" in query:
        return Last(_number(query, "last", 1, max_last))
    if "since" in query:
        return Since(_time(query, "since", now, TIMES))
    if "partition" in query:
        return Exactly(_number(query, "partition", 0, MAX_PARTITION), _number(query, "offset", 0, MAX_OFFSET))
    return _named_offset(query.get("offset", "latest"))


def _refuse_conflicts(query: Mapping[str, str]) -> None:
    """Raise `ParameterError` when the parameters of a start exclude each other."""
    named = [name for name in _MODES if name in query]
    if len(named) > 1:
        first, second = named[:2]
        message = f"{first} and {second} exclude each other; name one of them"
        raise ParameterError(message, second, tuple(f"{name} alone" for name in _MODES))
    if "partition" in query and named != ["offset"]:
        message = "partition goes with an exact offset only; name both"
        raise ParameterError(message, "partition", ("partition=0&offset=0",))


def _named_offset(text: str) -> Mode:
    """Return the start that one word names; a number would mean another record in each partition."""
    if text == "latest":
        return Latest()
    if text == "earliest":
        return Earliest()
    raise _refusal("offset", ("latest", "earliest", "partition=0&offset=0"))


def _until(query: Mapping[str, str], now: float) -> End | None:
    """Return where to end, if anywhere."""
    if "until" not in query:
        return None
    return Now() if query["until"] == "now" else Until(_time(query, "until", now, ("now", *TIMES)))


def _heartbeat(query: Mapping[str, str]) -> int | None:
    """Return the seconds between two heartbeats, if it is asked for any."""
    return _number(query, "heartbeat", HEARTBEAT_MIN, HEARTBEAT_MAX) if "heartbeat" in query else None


def _refusal(name: str, accepted: tuple[str, ...]) -> ParameterError:
    """Return what to raise; what the client sent is not repeated, since it may be long, or markup."""
    return ParameterError(f"{name} cannot be read; use one of the accepted forms", name, accepted)


def _number(query: Mapping[str, str], name: str, lowest: int, highest: int) -> int:
    """Return the number under `name`; raise `ParameterError` when it is none, or out of range."""
    text = query.get(name, "")
    if not _NUMBER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise _refusal(name, (f"{lowest} to {highest}",))
    return int(text)


def _time(query: Mapping[str, str], name: str, now: float, accepted: tuple[str, ...]) -> int:
    """Return the time under `name` in milliseconds; raise `ParameterError` when it is none, or one before 1970."""
    time = _milliseconds(query[name], now)
    if time is None or not 0 <= time <= MAX_TIME:
        raise _refusal(name, accepted)
    return time


def _milliseconds(text: str, now: float) -> int | None:
    """Return the time that `text` stands for, however far away; None when it is no time."""
    if _NUMBER.fullmatch(text):
        return int(text)
    if relative := _RELATIVE.fullmatch(text):
        return int(now * 1000) - int(relative["count"]) * _UNITS[relative["unit"]]
    return _iso(text)


def _iso(text: str) -> int | None:
    """Return the time that `text` stands for by ISO 8601, in whole milliseconds as records have them."""
    match = _ISO.fullmatch(text)
    if not match:
        return None
    zone = (match["zone"] or "Z").upper().replace(" ", "+")
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{match['time'] or '00'}{zone}")
    except ValueError:  # no such day, or no such zone
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)
