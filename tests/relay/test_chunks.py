"""Records → items: the chain has no gap, every record is in it once, and the limits hold."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafkasse import cursor, sse
from relay import chunks
from relay.chunks import BODY_BYTES, CHUNK_BYTES, Item, Run
from tests.fakes import Chains
from tests.harness.eventstream import EventStreamParser

patient = settings(deadline=None)  # other processes may need the machine, too
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


def parsed(run, prefix=""):
    """Return the items of a run together with what their JSON says."""
    return [(item, json.loads(item.body)) for item in chunks.build(run, prefix)]


def content(fields):
    """Return an item's content."""
    return fields["formats"]["http-stream"]["content"]


@patient
@given(runs())
def test_build_of_any_run_chains_its_items_without_a_gap(run):
    """A client takes an item only when its prev-id is the id of the item before."""
    place = cursor.encode_number(run.position)
    for item, fields in parsed(run):
        assert fields["prev-id"] == place
        assert fields["id"] == cursor.encode_number(item.position)
        place = fields["id"]
    expected = run.records[-1][0] + 1 if run.records else run.position
    assert place == cursor.encode_number(expected)


@patient
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


@patient
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
        assert (item.topic, item.partition) == (run.topic, run.partition)
        assert item.size >= len(item.body)


@patient
@given(runs())
def test_build_of_any_run_ends_an_item_where_it_grows_too_large(run):
    """More than one record in an item means that it kept the limit, and that the next record had no room in it."""
    texts = [(item, content(fields)) for item, fields in parsed(run)]
    for item, text in texts:
        assert item.records == 1 or len(text) <= CHUNK_BYTES
    for (_, text), (_, following) in itertools.pairwise(texts):
        first = following[: following.index("\n\n") + 2]
        assert len(text) + len(first) > CHUNK_BYTES


@patient
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
    assert list(chunks.build(run_of())) == []


def test_build_of_many_small_records_puts_many_into_one_item():
    """A flush costs the proxy 40 µs, one more event in it 1 to 2: a chunk is nearly full."""
    items = list(chunks.build(run_of(*[b"x" * 128] * 3000)))
    assert [item.records > 300 for item in items[:-1]] == [True] * (len(items) - 1)
    assert len(items) > 5


@pytest.mark.parametrize("character", ["x", "\x01", "é", "😀"])
def test_build_of_a_record_too_large_to_publish_has_no_body(character):
    """Control characters and what is not ASCII take more bytes in JSON than in the record."""
    small, large = (
        next(chunks.build(run_of((character * count).encode())))
        for count in _counts_around_the_limit(character)
    )
    assert small.body
    assert len(small.body) <= BODY_BYTES
    assert (large.body, large.size, large.records, large.position) == (None, 0, 1, 1)


def _counts_around_the_limit(character):
    cost = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    frame = 400
    return (BODY_BYTES - frame) // cost, BODY_BYTES // cost


def test_build_with_a_record_too_large_goes_on_chained_behind_it():
    """The client that has fetched it from the log is at its end, where the next item begins."""
    before, large, after = chunks.build(run_of(b"a", b"x" * 1_500_000, b"b"))
    assert (before.position, large.position, after.position) == (1, 2, 3)
    assert large.body is None
    assert json.loads(after.body)["prev-id"] == "2"


def test_hint_speaks_on_the_control_channel_outside_the_chain():
    """Without an id and a prev-id nobody misses it, and it moves nobody's cursor."""
    assert json.loads(chunks.hint("orders", "dev-")) == {
        "channel": "dev-orders:~",
        "formats": {"http-stream": {"action": "hint"}},
    }


def test_build_of_a_first_run_has_the_proxy_forget_what_came_before():
    """What another relay published last is unknown; the proxy would hold the first item back until its predecessor came."""
    told, item = chunks.build(replace(run_of(b"a", position=7), first=True), "dev-")
    assert json.loads(told.body) == json.loads(chunks.forget("orders", "tag", 0, "dev-"))
    assert (told.position, told.records) == (7, 0)
    assert json.loads(item.body)["prev-id"] == "7"


def test_reminder_leads_from_a_position_to_itself():
    """A client that is there goes on with the next item, and has got a comment."""
    assert json.loads(chunks.reminder("orders", "tag", 3, 36, "dev-")) == {
        "channel": "dev-orders:tag:3",
        "id": "10",
        "prev-id": "10",
        "formats": {"http-stream": {"content-filters": ["build-id"], "content": ":\n\n"}},
    }


def test_forget_names_the_channel_and_reaches_no_client():
    """An item without id and prev-id; streams have another format."""
    assert json.loads(chunks.forget("orders", "tag", 3, "dev-")) == {
        "channel": "dev-orders:tag:3",
        "formats": {"http-response": {"action": "hint"}},
    }


@st.composite
def items(draw):
    """Return items of all sizes; one without a body takes no room."""
    sizes = draw(st.lists(st.sampled_from([0, 1000, 400_000, 600_000, BODY_BYTES]), max_size=12))
    return [
        Item("t", "tag", 0, n + 1, b"x" * max(size - 1, 0) or None, 1, size) for n, size in enumerate(sizes)
    ]


@patient
@given(items())
def test_batches_of_any_items_keep_order_and_limit(given_items):
    """A body beyond 1,000,000 bytes is refused whole."""
    found = list(chunks.batches(iter(given_items)))
    assert [item for batch in found for item in batch] == given_items
    assert all(found)
    for batch in found:
        assert len(chunks.body(item.body for item in batch if item.body)) <= BODY_BYTES + 20


@patient
@given(items())
def test_batches_of_any_items_are_no_smaller_than_they_must(given_items):
    """One publish for as many as fit."""
    found = list(chunks.batches(given_items))
    for batch, following in itertools.pairwise(found):
        assert sum(item.size for item in batch) + following[0].size > BODY_BYTES


def test_body_of_items_is_one_json_document():
    """The publish server takes a list under `items`."""
    built = [item.body for item in chunks.build(run_of(b"a", b"b" * CHUNK_BYTES))]
    assert [item["id"] for item in json.loads(chunks.body(built))["items"]] == ["1", "2"]
