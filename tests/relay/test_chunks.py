"""Records → items: the chain has no gap, every record is in it once, and the limits hold."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor, sse
from kafkasse.stream import Stream
from relay import chunks
from relay.chunks import BODY_BYTES, CHUNK_BYTES, FEW, SMALL_BYTES, Chain, Item, Run
from tests.fakes import Chains
from tests.harness.eventstream import EventStreamParser

NAMES = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}", fullmatch=True)
TAGS = st.from_regex("1[0-9a-z]{8}", fullmatch=True)
TEXTS = st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
SIZES = st.sampled_from([0, 1, 20_000, CHUNK_BYTES - 60, CHUNK_BYTES, CHUNK_BYTES + 1])
VALUES = st.one_of(st.none(), st.binary(max_size=50), TEXTS, SIZES.map(lambda size: b"x" * size))
HEADERS = st.none() | st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=2)


@st.composite
def runs(draw):
    """Return a run whose offsets have holes, before the first record too, as compaction leaves them."""
    position = draw(st.integers(0, 2**40))
    offset, records = position, []
    for gap in draw(st.lists(st.sampled_from([0, 0, 0, 1, 1000]), max_size=12)):
        offset += gap
        records.append((offset, draw(VALUES), draw(st.none() | st.binary(max_size=5)), draw(HEADERS)))
        offset += 1
    return Run(draw(NAMES), draw(TAGS), draw(st.integers(0, 5000)), position, records)


def run_of(*values, topic="orders", partition=0, position=0):
    """Return a run of values without holes."""
    return Run(
        topic,
        "tag",
        partition,
        position,
        [(position + n, value, None, None) for n, value in enumerate(values)],
    )


def build(run, prefix=""):
    """Return the items of a run, by its partition's own chain."""
    return list(Chain(run.key, run.tag, prefix).items([run], [run.position]))


def parsed(run, prefix=""):
    """Return the items of a run together with what their JSON says."""
    return [(item, json.loads(item.body)) for item in build(run, prefix)]


def content(fields):
    """Return an item's content."""
    return fields["formats"]["http-stream"]["content"]


@given(runs())
def test_build_of_any_run_chains_its_items_without_a_gap(run):
    """A client takes an item only when its prev-id is the id of the item before."""
    place = cursor.encode_number(run.position)
    for item, fields in parsed(run):
        assert fields["prev-id"] == place
        assert fields["id"] == cursor.encode_number(item.positions[run.key])
        assert item.positions.keys() == {run.key}
        place = fields["id"]
    expected = run.records[-1][0] + 1 if run.records else run.position
    assert place == cursor.encode_number(expected)


@given(runs())
def test_build_of_any_run_has_every_record_once_in_order(run):
    """The content is the records' own events and nothing else."""
    found = parsed(run)
    head = cursor.head(run.tag, run.partition)
    expected = "".join(
        sse.live_record(head + cursor.encode_number(offset + 1), value, key, headers)
        for offset, value, key, headers in run.records
    )
    assert "".join(content(fields) for _, fields in found) == expected
    assert sum(item.records for item, _ in found) == len(run.records)


@given(runs(), st.sampled_from(["", "dev-"]))
def test_build_of_any_run_gives_items_a_proxy_accepts(run, prefix):
    """One malformed item makes Pushpin refuse a whole batch; ids are strings."""
    for item, fields in parsed(run, prefix):
        assert fields.keys() == {"channel", "id", "prev-id", "formats"}
        assert fields["channel"] == f"{prefix}{run.topic}:{run.tag}:{run.partition}"
        assert isinstance(fields["id"], str)
        assert isinstance(fields["prev-id"], str)
        assert fields["formats"].keys() == {"http-stream"}
        assert fields["formats"]["http-stream"].keys() == {"content-filters", "content"}
        assert fields["formats"]["http-stream"]["content-filters"] == ["build-id"]
        assert (item.place, item.tag) == (run.key, run.tag)
        assert item.size >= len(item.body)


@given(runs())
def test_build_of_any_run_ends_an_item_where_it_grows_too_large(run):
    """More than one record in an item means that it kept the limit, and that the next record had no room in it."""
    texts = [(item, content(fields)) for item, fields in parsed(run)]
    for item, text in texts:
        assert item.records == 1 or len(text) <= CHUNK_BYTES
    for (_, text), (_, following) in itertools.pairwise(texts):
        first = following[: following.index("\n\n") + 2]
        assert len(text) + len(first) > CHUNK_BYTES


@given(runs())
def test_build_of_any_run_ends_at_an_id_for_each_record(run):
    """Each record's event names the position after that record, whatever its item's id is."""
    chains = Chains().add(fields for _, fields in parsed(run))
    assert chains.offsets(f"{run.topic}:{run.partition}") == [record[0] for record in run.records]
    assert not chains.broken


@pytest.mark.parametrize(
    "text",
    [
        '"quoted" \\ and \\u0041',
        "".join(map(chr, range(1, 32))).replace("\r", ""),
        "\x7f\x80\x9f\u2028\u2029\ufeff",
        "\U0001f600 \U0010ffff",
        "%I %% %(orders:0)s %",
        "\0",
    ],
)
def test_build_of_characters_that_json_or_the_proxy_treats_specially_keeps_them(text):
    """What a client parses is what was written."""
    ((_, fields),) = parsed(run_of(text.encode()))
    shown = content(fields).replace("%I", "V", 1).replace("%%", "%")
    ((event),) = EventStreamParser().feed(shown.encode())
    assert event.data == text


def test_build_of_no_records_is_empty():
    """An empty run has no item."""
    assert build(run_of()) == []


def test_build_of_many_small_records_puts_many_into_one_item():
    """A flush costs the proxy 40 µs, one more event in it 1 to 2: a chunk is nearly full."""
    items = build(run_of(*[b"x" * 128] * 3000))
    assert [item.records > 300 for item in items[:-1]] == [True] * (len(items) - 1)
    assert len(items) > 5


@pytest.mark.parametrize("character", ["x", "\x01", "é", "😀"])
def test_build_of_a_record_too_large_to_publish_has_no_body(character):
    """Control characters and what is not ASCII take more bytes in JSON than in the record."""
    small, large = (
        build(run_of((character * count).encode()))[0] for count in _counts_around_the_limit(character)
    )
    assert small.body
    assert len(small.body) <= BODY_BYTES
    assert (large.body, large.size, large.records, large.positions) == (None, 0, 1, {("orders", 0): 1})


def _counts_around_the_limit(character):
    cost = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    frame = 400
    return (BODY_BYTES - frame) // cost, BODY_BYTES // cost


def test_build_with_a_record_too_large_goes_on_chained_behind_it():
    """The client that has fetched it from the log is at its end, where the next item begins."""
    before, large, after = build(run_of(b"a", b"x" * 1_500_000, b"b"))
    assert [item.positions["orders", 0] for item in (before, large, after)] == [1, 2, 3]
    assert large.body is None
    assert json.loads(after.body)["prev-id"] == "2"


# --- The chain of a whole topic -----------------------------------------------------------------------------------


@st.composite
def rounds(draw):
    """Return where a topic is, and the runs of some of its partitions, in any order."""
    name, tag = draw(NAMES), draw(TAGS)
    before = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
    read = draw(st.lists(st.sampled_from(range(len(before))), unique=True))
    found = [replace(draw(runs()), topic=name, tag=tag, partition=each) for each in read]
    found = [run for run in found if run.records]
    for run in found:
        before[run.partition] = run.position
    return name, tag, before, found


def whole(round_, prefix=""):
    """Return the items of a whole topic together with what their JSON says."""
    name, tag, before, found = round_
    items = Chain((name, None), tag, prefix).items(found, before)
    return [(item, json.loads(item.body)) for item in items]


def vector(positions):
    """Return positions as an id has them."""
    return ".".join(cursor.encode_number(positions[each]) for each in range(len(positions)))


class Client:
    """A client of a topic's channel: what it has had of each partition, by the events alone."""

    def __init__(self, before):
        """Begin at a vector."""
        self.place, self.had = vector(before), dict(enumerate(before))
        self.records, self.cursors, self._parser = [], [], EventStreamParser()

    def take(self, fields):
        """Take an item, if it is the next one; note what each event's id says, and what is true then."""
        assert fields["prev-id"] == self.place
        self.place = fields["id"]
        for event in self._parser.feed(content(fields).encode()):
            own = event.id.split(".")[1]
            partition, position = (int(number, 36) for number in own.split("-"))
            self.had[partition] = position
            self.records.append((partition, position - 1, event.type, event.data))
            self.cursors.append((cursor.decode(event.id), dict(self.had)))


def event_of(record):
    """Return what a browser hands out of a record: lines end with LF, however they ended."""
    _offset, value, key, headers = record
    kind, data = sse.payload(value, key, headers)
    return kind, data.replace("\r\n", "\n").replace("\r", "\n")


@given(rounds())
def test_whole_of_any_runs_brings_every_record_once_to_who_follows_its_ids(round_):
    """Each item begins where the one before ends, and ends at the vector of what its clients have then."""
    _name, _tag, before, found = round_
    client, positions = Client(before), dict(enumerate(before))
    for item, fields in whole(round_):
        client.take(fields)
        positions |= {partition: position for (_topic, partition), position in item.positions.items()}
        assert fields["id"] == vector(positions) == vector(client.had)
    assert client.records == [
        (run.partition, record[0], *event_of(record)) for run in found for record in run.records
    ]
    assert positions == dict(enumerate(before)) | {run.partition: run.end for run in found}


@given(rounds())
def test_whole_of_any_runs_has_ids_that_say_what_the_client_has_had(round_):
    """Up to and including that event, in every partition: whoever is cut off there goes on exactly."""
    _name, tag, before, _found = round_
    client = Client(before)
    for _item, fields in whole(round_):
        client.take(fields)
    assert [found for found, _had in client.cursors] == [
        cursor.Cursor({tag: had}) for _found, had in client.cursors
    ]


@given(rounds(), st.sampled_from(["", "dev-"]))
def test_whole_of_any_runs_gives_items_that_the_proxy_passes_on_as_they_are(round_, prefix):
    """No filter looks at them, which is what they are for."""
    name, tag, _before, found = round_
    items = whole(round_, prefix)
    for item, fields in items:
        assert fields.keys() == {"channel", "id", "prev-id", "formats"}
        assert fields["channel"] == f"{prefix}{name}:{tag}:all"
        assert fields["formats"].keys() == {"http-stream"}
        assert fields["formats"]["http-stream"].keys() == {"content"}
        assert (item.place, item.tag) == ((name, None), tag)
        assert item.size >= len(item.body)
    assert sum(item.records for item, _ in items) == sum(len(run.records) for run in found)


@given(rounds())
def test_whole_of_any_runs_ends_an_item_where_it_grows_too_large_and_not_where_a_partition_ends(round_):
    """One flush for each client, however many partitions a round has read."""
    texts = [(item, content(fields)) for item, fields in whole(round_)]
    limits = [SMALL_BYTES if number < FEW else CHUNK_BYTES for number in range(len(texts))]
    for (item, text), limit in zip(texts, limits, strict=True):
        assert item.records == 1 or len(text) <= limit
    for ((_, text), (_, following)), limit in zip(itertools.pairwise(texts), limits, strict=False):
        first = following[: following.index("\n\n") + 2]
        assert len(text) + len(first) > limit


def test_whole_of_a_long_round_begins_with_small_items():
    """A hundred of them are what the proxy keeps for a client that does not read; of a busy topic there are large ones."""
    run = run_of(*[b"x" * 1000] * 1000)
    sizes = [
        len(content(json.loads(item.body))) for item in Chain(("orders", None), run.tag).items([run], [0])
    ]
    assert all(SMALL_BYTES - 1100 < size <= SMALL_BYTES for size in sizes[:FEW])
    assert all(CHUNK_BYTES - 1100 < size <= CHUNK_BYTES for size in sizes[FEW:-1])
    assert len(sizes) > FEW + 2


def test_whole_of_several_partitions_is_one_item_with_all_that_is_needed():
    """To the byte: own position, then the vector, in which the own partition may lag behind."""
    some = [run_of(b"50 %", b"%I", partition=2, position=35), run_of(b"a", position=7)]
    ((item, fields),) = whole(("orders", "tag", [7, 3, 35], some), "dev-")
    assert fields == {
        "channel": "dev-orders:tag:all",
        "id": "8.3.11",
        "prev-id": "7.3.z",
        "formats": {
            "http-stream": {
                "content": "event: message\nid: tag.2-10.7.3.z\ndata: 50 %\n\n"
                "event: message\nid: tag.2-11.7.3.z\ndata: %I\n\n"
                "event: message\nid: tag.0-8.7.3.11\ndata: a\n\n"
            }
        },
    }
    assert item.positions == {("orders", 2): 37, ("orders", 0): 8}


def test_whole_with_a_record_too_large_goes_on_chained_behind_it():
    """It has no body; the clients that have fetched it from the log are at its end."""
    some = [run_of(b"a", b"x" * 1_500_000), run_of(b"b", partition=1, position=5)]
    before, large, after = Chain(("orders", None), "tag").items(some, [0, 5])
    assert [item.positions for item in (before, large, after)] == [
        {("orders", 0): 1},
        {("orders", 0): 2},
        {("orders", 1): 6},
    ]
    assert (large.body, large.size, large.records) == (None, 0, 1)
    assert [json.loads(before.body)[name] for name in ("prev-id", "id")] == ["0.5", "1.5"]
    assert [json.loads(after.body)[name] for name in ("prev-id", "id")] == ["2.5", "2.6"]


@pytest.mark.parametrize("firsts", [(True, False), (False, True), (True, True)])
def test_whole_with_a_first_run_has_the_proxy_forget_its_channel_once(firsts):
    """Whichever partition it is that goes on elsewhere."""
    some = [replace(run_of(b"a", partition=each), first=first) for each, first in enumerate(firsts)]
    told, item = Chain(("orders", None), "tag", "dev-").items(some, [0, 0])
    assert json.loads(told.body) == json.loads(chunks.forget("dev-orders:tag:all"))
    assert (told.place, told.positions, told.records) == (("orders", None), {}, 0)
    assert told.size > len(told.body)
    assert json.loads(item.body)["prev-id"] == "0.0"


def test_whole_reminder_leads_from_a_vector_to_itself():
    """Without a filter: the proxy ends the stream of a client that is held with others than the item has."""
    assert json.loads(Chain(("orders", None), "tag", "dev-").reminder([36, 0, 5])) == {
        "channel": "dev-orders:tag:all",
        "id": "10.0.5",
        "prev-id": "10.0.5",
        "formats": {"http-stream": {"content": ":\n\n"}},
    }


# --- Both kinds of chains at once ---------------------------------------------------------------------------------


def heard_by(found, *places):
    """Return the runs by the places that they are heard by, and where those begin; partitions have no others than these."""
    heard = {
        place: runs_
        for place in places
        if (runs_ := [run for run in found if place in {run.key, (run.topic, None)}])
    }
    begins = {
        place: [run.position for run in sorted(of, key=lambda run: run.partition)]
        for place, of in heard.items()
    }
    return heard, begins


def test_items_of_what_goes_by_two_chains_are_committed_and_counted_with_the_topics():
    """Each chain has them by then; what is committed before would be skipped after a crash."""
    found = [run_of(b"a", b"b"), run_of(b"c", partition=1, position=5), run_of(b"d", topic="users")]
    places = [("orders", None), ("orders", 0), ("users", 0)]
    told = [
        (json.loads(item.body)["channel"], item.positions, item.records)
        for item in chunks.items(*heard_by(found, *places), "dev-")
    ]
    assert told == [
        ("dev-orders:tag:0", {}, 0),
        ("dev-users:tag:0", {("users", 0): 1}, 1),
        ("dev-orders:tag:all", {("orders", 0): 2, ("orders", 1): 6}, 3),
    ]


@given(st.data())
def test_items_of_any_chains_commit_what_all_of_them_have_had(data):
    """And count each record once, by however many it goes."""
    found = [
        run_of(*[b"x" * data.draw(SIZES)] * data.draw(st.integers(1, 3)), topic=topic, partition=each)
        for topic in ("orders", "users")
        for each in range(2)
    ]
    every = [(topic, each) for topic in ("orders", "users") for each in (0, 1, None)]
    heard, begins = heard_by(found, *data.draw(st.lists(st.sampled_from(every), unique=True)))
    had, committed, counted = {}, {}, 0
    for item in chunks.items(heard, begins):
        for event in EventStreamParser().feed(content(json.loads(item.body)).encode()):
            partition, position = (int(number, 36) for number in event.id.split(".")[1].split("-"))
            had[item.place, (item.place[0], partition)] = position
        for key, position in item.positions.items():
            assert had[item.place, key] == position
            assert all(had[place, key] >= position for place in (key, (key[0], None)) if place in heard)
        committed |= item.positions
        counted += item.records
    assert committed == {run.key: run.end for of in heard.values() for run in of}
    assert counted == sum(len(run.records) for run in found if run.key in committed)


# --- Hints, bodies ------------------------------------------------------------------------------------------------


def test_hint_speaks_on_the_control_channel_outside_the_chain():
    """Without an id and a prev-id nobody misses it, and it moves nobody's cursor."""
    assert json.loads(chunks.hint("orders", "dev-")) == {
        "channel": "dev-orders:~",
        "formats": {"http-stream": {"action": "hint"}},
    }


def test_postpone_is_an_item_of_which_clients_get_nothing():
    """It is no comment: a byte that a client takes has the proxy try a failed next link again before its time."""
    assert json.loads(chunks.postpone("orders", "dev-")) == {
        "channel": "dev-orders:~",
        "formats": {"http-stream": {"content": ""}},
    }


def test_build_of_a_first_run_has_the_proxy_forget_what_came_before():
    """What another relay published last is unknown; the proxy would hold the first item back until its predecessor came."""
    told, item = build(replace(run_of(b"a", position=7), first=True), "dev-")
    assert json.loads(told.body) == json.loads(chunks.forget("dev-orders:tag:0"))
    assert (told.positions, told.records) == ({}, 0)
    assert json.loads(item.body)["prev-id"] == "7"


def test_whole_reminder_of_a_live_topic_is_a_heartbeat_at_its_vector():
    """The application gives the same to a client there."""
    item = json.loads(Chain(("orders", None), "tag").reminder([36, 0, 5], live=1.5))
    assert (item["prev-id"], item["id"]) == ("10.0.5", "10.0.5")
    at = Stream(("orders",)).tagged({"orders": "tag"})
    vector = {("orders", 0): 36, ("orders", 1): 0, ("orders", 2): 5}
    assert item["formats"]["http-stream"]["content"] == sse.heartbeat(at.event_id(vector), 0, 0, 1.5)


def test_whole_reminder_may_follow_nobodys_position():
    """Each client is repaired then; who comes after it is where it ends."""
    item = json.loads(Chain(("orders", None), "tag").reminder([36, 0, 5], follows=False))
    assert (item["prev-id"], item["id"]) == ("~", "10.0.5")


def test_reminder_leads_from_a_position_to_itself():
    """A client that is there goes on with the next item, and has got a comment."""
    assert json.loads(Chain(("orders", 3), "tag", "dev-").reminder([36])) == {
        "channel": "dev-orders:tag:3",
        "id": "10",
        "prev-id": "10",
        "formats": {"http-stream": {"content-filters": ["build-id"], "content": ":\n\n"}},
    }


def test_forget_names_the_channel_and_reaches_no_client():
    """An item without id and prev-id; streams have another format."""
    assert json.loads(chunks.forget("dev-orders:tag:3")) == {
        "channel": "dev-orders:tag:3",
        "formats": {"http-response": {"action": "hint"}},
    }


@st.composite
def items(draw):
    """Return items of all sizes; one without a body takes no room."""
    sizes = draw(st.lists(st.sampled_from([0, 1000, 400_000, 600_000, BODY_BYTES]), max_size=12))
    return [
        Item(("t", 0), "tag", {("t", 0): n + 1}, b"x" * max(size - 1, 0) or None, 1, size)
        for n, size in enumerate(sizes)
    ]


@given(items())
def test_batches_of_any_items_keep_order_and_limit(given_items):
    """A body beyond 1,000,000 bytes is refused whole."""
    found = list(chunks.batches(iter(given_items)))
    assert [item for batch in found for item in batch] == given_items
    assert all(found)
    for batch in found:
        assert len(chunks.body(item.body for item in batch if item.body)) <= BODY_BYTES + 20


@given(items())
def test_batches_of_any_items_are_no_smaller_than_they_must(given_items):
    """One publish for as many as fit."""
    found = list(chunks.batches(given_items))
    for batch, following in itertools.pairwise(found):
        assert sum(item.size for item in batch) + following[0].size > BODY_BYTES


def test_body_of_items_is_one_json_document():
    """The publish server takes a list under `items`."""
    built = [item.body for item in build(run_of(b"a", b"b" * CHUNK_BYTES))]
    assert [item["id"] for item in json.loads(chunks.body(built))["items"]] == ["1", "2"]
