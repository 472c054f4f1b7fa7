"""The judge catches each kind of harm, by its own word, and nothing else; and every kind of record reads as written."""

import base64
import json

import pytest

from tests.faults.judge import WORDS, Fate, judge
from tests.faults.records import CYCLE, KEYS, TOMBSTONE, CorruptError, Record, decode, encode, superseded
from tests.harness.sse import Received

TOPIC, COUNT = "orders", 2 * CYCLE


def event(number, *, partition=0, topic=TOPIC, connection=0, generation=0):
    """Return a record as a client gets it: as the documentation says, not as the encoder does."""
    fields = encode(Record(topic, partition, number, generation))
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
    verdict = judge(events, TOPIC, {0: COUNT}, {0: COUNT - 1}, Fate(deleted={0: 10}))
    assert set(verdict.found) == words


OLD = 10  # records of the topic that was deleted
NEW = stream(generation=1)


def recreated(wanted, resumed=0):
    """Return the notice that the topic was created again."""
    return reset(wanted, resumed, "recreated")


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([*stream(range(5)), recreated(5), *NEW], set()),
        ([*stream(range(OLD)), recreated(OLD), *NEW], set()),
        ([*stream(range(5)), recreated(5, None), *NEW, *stream(range(9), generation=1, connection=1)], set()),
        ([*stream(range(5)), *NEW], {"lost"}),
        ([*stream(range(OLD)), *NEW], {"lost"}),
        ([*stream(range(5)), *NEW, recreated(5)], set()),
        ([*stream(range(5)), recreated(7), *NEW], {"lost", "unseen"}),
        ([*stream(range(5)), recreated(4), *NEW], {"lost", "unjustified reset"}),
        ([*stream(range(5)), recreated(OLD + 1), *NEW], {"lost", "unjustified reset"}),
        ([*stream(range(5)), recreated(5, 3), *NEW], {"lost", "unjustified reset"}),
        ([*stream(range(5)), reset(5, 0, "ahead"), *NEW], {"lost", "unjustified reset"}),
        ([*stream(range(5)), recreated(5), *NEW, recreated(COUNT)], {"unjustified reset"}),
        ([*stream(range(5)), recreated(5), event(5), *NEW], {"phantom"}),
        ([*stream(range(5)), *NEW, event(5, connection=1), recreated(5)], {"phantom"}),
        ([*stream(range(5)), recreated(5), *NEW, event(0, generation=2)], {"phantom"}),
        ([*stream(range(5)), recreated(5), *NEW[3:]], {"lost"}),
        ([*stream(range(5)), recreated(5), *NEW[:3], *NEW[4:]], {"lost", "unseen"}),
        ([*stream(range(5)), NEW[0], recreated(5), *NEW], {"duplicate"}),
        ([*stream(range(5)), recreated(5), NEW[1], NEW[0], *NEW[2:]], {"out of order"}),
    ],
    ids=["told", "told of nothing but the end", "repeated in another connection", "not told", "not told of the end",
         "told late", "told too much", "told of what it had", "told of what never was", "goes on elsewhere",
         "another reason", "told twice", "old after told", "old after new", "one too new", "without its beginning",
         "with a gap", "twice", "out of order"],
)  # fmt: skip
def test_topic_that_was_created_again_is_told_of_and_comes_from_its_beginning(events, words):
    """It had ten records before."""
    verdict = judge(events, TOPIC, {0: COUNT}, {0: COUNT - 1}, Fate(earlier=[{0: OLD}]))
    assert set(verdict.found) == words


def test_topic_that_was_not_created_again_is_none():
    """Nor was another partition's topic."""
    assert set(found([*stream(range(5)), recreated(5), *stream(range(5, COUNT))])) == {"unjustified reset"}
    other = judge([recreated(0)], TOPIC, {0: 0}, {}, Fate(earlier=[{1: OLD}]))
    assert set(other.found) == {"unjustified reset", "lost"}


BOUND = 60  # of the records before it, those may be missing whose key had come again
HOLES = superseded(BOUND)
NEWEST = 48  # of its key: 57 is a tombstone


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (without(*HOLES), set()),
        (stream(), set()),
        (without(*range(20, 30)), set()),
        ([*without(*HOLES), *stream(connection=1)], set()),
        (without(*HOLES, TOMBSTONE), {"lost"}),  # the first to come would be it
        (without(*HOLES, NEWEST), {"lost", "unseen"}),
        (without(*HOLES, BOUND), {"lost", "unseen"}),
        (without(*HOLES, BOUND - 1), {"lost", "unseen"}),
        ([*without(*HOLES)[:5], reset(50, 51), *without(*HOLES)[5:]], {"unjustified reset"}),
        ([*without(*HOLES), event(0)], {"duplicate"}),
        ([*without(*HOLES), event(COUNT - 1)], {"duplicate"}),
    ],
    ids=["compacted", "not at all", "in part", "read before", "a tombstone", "the newest of a key", "behind the bound",
         "the last before the bound", "told", "late", "twice"],
)  # fmt: skip
def test_what_was_superseded_may_be_missing_from_a_compacted_log(events, words):
    """And nobody is told."""
    verdict = judge(events, TOPIC, {0: COUNT}, {0: COUNT - 1}, Fate(compacted={0: BOUND}))
    assert set(verdict.found) == words


def test_superseded_are_those_whose_key_is_written_again():
    """By the keys that are written: each record has one, and a tombstone's is its own."""
    keys = [encode(Record(TOPIC, 0, number))["key"] for number in range(BOUND)]
    assert superseded(BOUND) == {number for number, key in enumerate(keys) if key in keys[number + 1 :]}
    assert len({*keys}) == KEYS + 2
    assert NEWEST not in HOLES


@pytest.mark.parametrize(
    ("events", "fate"),
    [
        ([*stream(range(5)), reset(5, 9), *stream(range(9, COUNT))], Fate(deleted={0: 10})),
        (without(5, 6, 7, 8), Fate(compacted={0: BOUND})),
        ([*stream(range(OLD - 4)), recreated(OLD - 4), *stream(range(COUNT - OLD), generation=1)], Fate(earlier=[{0: OLD}])),
    ],
    ids=["deleted", "superseded", "recreated"],
)  # fmt: skip
def test_what_need_not_come_is_not_counted_as_delivered(events, fate):
    """Four of the records."""
    assert judge(events, TOPIC, {0: COUNT}, {}, fate).delivered == COUNT - 4


@pytest.mark.parametrize("number", range(CYCLE))
def test_records_of_every_kind_read_as_they_were_written(number):
    """Each number of a cycle."""
    record = Record(TOPIC, 3, number, 1)
    assert decode(event(number, partition=3, generation=1)) == record


def test_event_that_is_no_record_is_corrupt():
    """Whatever it is."""
    for data in ("", "[]", "{}", '{"topic": "orders"}'):
        with pytest.raises(CorruptError):
            decode(Received("message", data, "", 0, 0))
