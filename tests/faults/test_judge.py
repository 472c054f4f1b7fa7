"""The judge catches each kind of harm, by its own word, and nothing else; and every kind of record reads as written."""

import base64
import json

import pytest

from tests.faults.judge import WORDS, judge
from tests.faults.records import CYCLE, CorruptError, Record, decode, encode
from tests.harness.sse import Received

TOPIC, COUNT = "orders", 2 * CYCLE


def event(number, *, partition=0, topic=TOPIC, connection=0):
    """Return a record as a client gets it: as the documentation says, not as the encoder does."""
    fields = encode(Record(topic, partition, number))
    value = fields["value"]
    if value is None:
        kind, data = "tombstone", json.dumps({"key": fields["key"].decode()})
    else:
        try:
            kind, data = "message", value.decode().replace("\r\n", "\n")
        except UnicodeDecodeError:
            kind, data = "binary", base64.b64encode(value).decode()
    return Received(kind, data, "id", 0, connection)


def stream(numbers=range(COUNT), **more):
    """Return what a client gets of a partition."""
    return [event(number, **more) for number in numbers]


def found(events, **expected):
    """Return what the judge finds in a stream of one partition."""
    return judge(events, TOPIC, expected.get("sent", {0: COUNT}), {0: COUNT - 1}).found


def test_all_that_was_written_once_and_in_order_is_well():
    """Of every kind; also what came again in a later connection."""
    assert found(stream()) == {}
    again = judge([*stream(), *stream(range(90, COUNT), connection=1)], TOPIC, {0: COUNT}, {0: COUNT - 1})
    assert (again.found, again.delivered, again.again) == ({}, COUNT + 10, 10)


def without(*numbers):
    """Return a stream that lacks records."""
    return stream(number for number in range(COUNT) if number not in numbers)


def mutated(number, change):
    """Return a stream with one event changed."""
    events = stream()
    events[number] = change(events[number])
    return events


RESET = Received("stream-reset", '{"reason": "retention"}', "id", 0, 0)


@pytest.mark.parametrize(
    ("word", "events", "also"),
    [
        ("lost", without(COUNT - 1), set()),
        ("lost", without(0), set()),
        ("lost", without(5), {"unseen"}),
        ("unseen", [*without(5), event(5, connection=1)], set()),
        ("duplicate", [*stream(), event(COUNT - 1)], set()),
        ("out of order", [*stream(range(10)), event(11), event(10), *stream(range(12, COUNT))], {"unseen"}),
        ("phantom", [*stream(), event(COUNT)], set()),
        ("phantom", [*stream(), event(0, partition=9)], set()),
        ("corrupt", mutated(3, lambda e: e.__class__(e.type, e.data.replace("xx", "xy", 1), "", 0, 0)), {"lost", "unseen"}),
        ("corrupt", mutated(17, lambda e: e.__class__("message", e.data, "", 0, 0)), {"lost", "unseen"}),
        ("corrupt", mutated(7, lambda e: e.__class__(e.type, "{}", "", 0, 0)), {"lost", "unseen"}),
        ("foreign", [*stream(), event(0, topic="users")], set()),
        ("unjustified reset", [RESET, *stream()], set()),
    ],
)  # fmt: skip
def test_harm_is_called_by_its_word(word, events, also):
    """And by no other, unless the same harm is two."""
    assert set(found(events)) == {word, *also}
    assert word in WORDS


def reset(wanted, resumed, reason="retention"):
    """Return the notice that records of a partition are gone."""
    fields = {"reason": reason, "topic": TOPIC, "partition": 0, "requested": wanted, "resumed": resumed}
    return Received("stream-reset", json.dumps(fields), "id", 0, 0)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([*stream(range(5)), reset(5, 9), *stream(range(9, COUNT))], set()),
        ([*stream(range(5)), reset(5, 8), *stream(range(9, COUNT))], {"lost", "unseen"}),
        ([*stream(range(5)), reset(5, 11), *stream(range(11, COUNT))], {"unjustified reset", "lost", "unseen"}),
        ([*stream(range(5)), reset(5, 9, "ahead"), *stream(range(9, COUNT))], {"unjustified reset", "lost", "unseen"}),
        ([*stream(range(5)), reset(5, 5), *stream(range(5, COUNT))], {"unjustified reset"}),
        ([*stream(range(9)), reset(5, 9), *stream(range(9, COUNT))], {"unjustified reset"}),
        (stream(range(9, COUNT)), {"lost"}),
    ],
    ids=["told", "told of fewer", "told of more", "for no reason", "of nothing", "of what it had", "not told"],
)  # fmt: skip
def test_what_was_deleted_may_be_missing_where_the_client_is_told(events, words):
    """The first ten records were deleted at some time."""
    verdict = judge(events, TOPIC, {0: COUNT}, {0: COUNT - 1}, {0: 10})
    assert set(verdict.found) == words


@pytest.mark.parametrize("number", range(CYCLE))
def test_records_of_every_kind_read_as_they_were_written(number):
    """Each number of a cycle."""
    record = Record(TOPIC, 3, number)
    assert decode(event(number, partition=3)) == record


def test_event_that_is_no_record_is_corrupt():
    """Whatever it is."""
    for data in ("", "[]", "{}", '{"topic": "orders"}'):
        with pytest.raises(CorruptError):
            decode(Received("message", data, "", 0, 0))
