"""Where a client starts, given what it asks for and what Kafka knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kafkasse import cursor, history, tail
from kafkasse.conf import conf
from kafkasse.exceptions import CursorError, ParameterError
from kafkasse.offsets import EARLIEST, LATEST
from kafkasse.positions import lookup
from kafkasse.replay import Reset, Start
from kafkasse.start import Earliest, Exactly, Last, Now, Since, Until
from kafkasse.stream import places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kafkasse.positions import Known
    from kafkasse.start import End, Mode
    from kafkasse.stream import Named, Stream
    from kafkasse.topics import Key


def fresh(known: Known) -> dict[Key, int]:
    """Return where a client starts that names no cursor: where the relay is, or the log's end before it came there."""
    ends = _ends([key for key, position in known.positions.items() if position is None], LATEST)
    return {key: ends[key] if found is None else found for key, found in known.positions.items()}


def begun(stream: Stream, mode: Mode, known: Known) -> Start:
    """Return the start of a client that names where in the log it wants to start.

    Raises `ParameterError` when this broker cannot tell where that is.
    """
    match mode:
        case Earliest():
            return Start(_ends(known.positions, EARLIEST))
        case Last(count):
            begins, ends = (_ends(known.positions, which) for which in (EARLIEST, LATEST))
            return Start(tail.starts(begins, ends, count, _times))
        case Since(time):
            _require_times("since", ("offset=earliest", "last=100"))
            return Start(_since(known.positions, time))
        case Exactly(partition, offset):
            return resumed({topic: (tag, {partition: offset}) for topic, tag in stream.tags.items()}, known)
        case _:
            return Start(fresh(known))


def bounded(stream: Stream, until: End | None, partitions: Iterable[Key], now: float) -> Stream:
    """Return the stream with the end that was asked for, if any; `now` in seconds since the epoch.

    Raises `ParameterError` when this broker cannot tell where that is.
    """
    match until:
        case Now():
            return stream.ending_at(_ends(partitions, LATEST))
        case Until(time):
            _require_times("until", ("until=now",))
            return ended_by_now(replace(stream, until=time), partitions, now)
        case _:
            return stream


def ended_by_now(stream: Stream, partitions: Iterable[Key], now: float) -> Stream:
    """Return the stream; with the positions at which it ends, once its time has come."""
    if stream.until is None or now * 1000 < stream.until:
        return stream
    return stream.ending_at(_since(partitions, stream.until + 1))


def _require_times(name: str, instead: tuple[str, ...]) -> None:
    """Raise `ParameterError` when the broker cannot look up times."""
    if not lookup().knows_times():
        message = f"{name} needs a broker that can look up times, which the embedded one cannot"
        raise ParameterError(message, name, instead)


def _since(partitions: Iterable[Key], time: int) -> dict[Key, int]:
    """Return where the records from `time` on begin; where there is none yet, the log's end."""
    # In this order: what is written in between is then not left out.
    ends = _ends(partitions, LATEST)
    found = lookup().at(ends, time)
    return {key: end if found[key] < 0 else found[key] for key, end in ends.items()}


def _times(start: Mapping[Key, int], stop: Mapping[Key, int]) -> Iterator[tuple[Key, int, int]]:
    """Yield (partition, offset, time) of the records between two positions."""
    page = history.Page(dict(start), complete=False)
    while not page.complete:
        page = history.page(page.positions, stop, conf.KAFKASSE_PAGE_BYTES)
        yield from (((each.topic, each.partition), each.offset, each.time) for each in page.records)


def requested(stream: Stream, text: str, known: Known) -> Start:
    """Return the start of a client that resumes with the cursor `text`; what cannot be used is told and left aside."""
    try:
        asked = cursor.decode(text)
    except CursorError:
        return Start(fresh(known), (Reset("unreadable"),))
    named = stream.ours(asked)
    if not named or asked.alone != (stream.partition is not None):
        return Start(fresh(known), (Reset("foreign"),))
    return resumed(named, known)


def resumed(named: Named, known: Known) -> Start:
    """Return the start of a client that is at `named`.

    Partitions that it does not name appeared after it started: for those it starts where their logs begin; topics that it
    does not name, where a fresh client does.  A position may be ahead of the relay's, which is committed a moment after
    its records are sent, but not of the log.  Raises `TopicChangedError` where that is the log of another topic by now.
    """
    wanted = places(named)
    recreated = {topic for topic, (tag, at) in named.items() if not _continues(topic, tag, at, known)}
    usable = {key: at for key, at in wanted.items() if key[0] not in recreated}
    start = {
        **_unnamed(named, usable, known),
        **{key: at for key, at in usable.items() if key in known.positions},
    }
    ahead = [key for key, at in start.items() if at > (known.positions[key] or 0)]
    ends = _ends(ahead, LATEST)
    resets = [
        Reset("recreated", *key, wanted[key], start.get(key)) for key in sorted(wanted.keys() - usable.keys())
    ]
    for key in ahead:
        if (at := start[key]) > (end := ends[key]):
            found = known.positions[key]
            start[key] = end if found is None else min(found, end)
            resets.append(Reset("ahead", *key, at, start[key]))
            lookup().require({key[0]: known.tags[key[0]]})
    # A topic that has no tag of its own can have fewer partitions only when it was created again.
    resets += [Reset("ahead", *key, at) for key, at in sorted(usable.items()) if at and key not in start]
    return Start({key: start[key] for key in known.positions}, tuple(resets))


def _continues(topic: str, tag: str, places: Mapping[int, int], known: Known) -> bool:
    """Say whether positions are of the topic that there is now: it has the same tag, or there was none and it was empty."""
    return tag == known.tags[topic] or (tag == cursor.tag(topic) and not any(places.values()))


def _unnamed(named: Named, usable: Mapping[Key, int], known: Known) -> dict[Key, int]:
    """Return where a client starts in those partitions for which it names no position that can be used."""
    new = [key for key in known.positions if key[0] in named and key not in usable]
    others = {key: at for key, at in known.positions.items() if key[0] not in named}
    return {**_ends(new, EARLIEST), **fresh(replace(known, positions=others))}


def is_behind(start: Start) -> bool:
    """Say whether the log has records that a client at `start` has not."""
    ends = _ends(start.positions, LATEST)
    return any(position < ends[key] for key, position in start.positions.items())


def behind(positions: Mapping[Key, int], now: float) -> tuple[int, int]:
    """Return how many records a client at `positions` is behind the log, and the age in ms of one it waits for.

    `now` is in seconds since the epoch.  Offsets are counted, and where none of them is a record, nothing is behind.
    """
    ends = _ends(positions, LATEST)
    unread = {key: ends[key] - at for key, at in positions.items() if ends[key] > at}
    for key in sorted(unread, key=lambda each: -unread[each]):
        found = history.page({key: positions[key]}, {key: ends[key]}, 1).records
        if found:
            return sum(unread.values()), max(0, int(now * 1000) - found[0].time)
    return 0, 0


def stops(start: Mapping[Key, int], positions: Mapping[Key, int | None]) -> dict[Key, int]:
    """Return how far a page may go: to the relay's position, a boundary, where the next item will join."""
    return {key: max(position, positions.get(key) or 0) for key, position in start.items()}


def _ends(partitions: Iterable[Key], which: int) -> dict[Key, int]:
    """Return where the logs begin or end; the log of a partition that does not exist is empty."""
    asked = list(partitions)
    return lookup().ends(asked, which) if asked else {}
