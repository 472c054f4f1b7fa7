"""Events: what any bytes look like to independent parsers, live and replayed."""

import base64
import json
import re

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import example, given
from hypothesis import strategies as st

from kafkasse import sse
from tests.harness.eventstream import EventStreamParser
from tests.kafkasse.fakes import build_id_filter

PIECES = [
    b"\r", b"\n", b"\r\n", b"%", b"%%", b"%I", b"%(x)s", b"%(t:0)s", b"%s", b" ", b":", b"data: x", b"id: 9",
    b"event: y", b"retry: 1", b"\0", b"\xff", b"\xc3", "é".encode(), "\ufeff".encode(), "\u2028".encode(),
    b"\x0b", b"\x0c", b"\x1c", b"\x85", "\x85".encode(), b"a",
]  # fmt: skip
pieces = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
contents = pieces | st.binary(max_size=200) | st.text(max_size=100).map(str.encode)
headers = st.none() | st.lists(st.tuples(st.text(max_size=10), st.none() | contents), max_size=4)
ids = st.from_regex(r"1[0-9a-z]{6}\.[0-9a-z]{1,3}-[0-9a-z]{1,13}", fullmatch=True)
vectors = st.lists(st.from_regex("[0-9a-z]{1,13}", fullmatch=True), min_size=1, max_size=8).map(".".join)


def whatwg(text):
    """Return the events as the standard's parser sees them: (type, data, id)."""
    return [(event.type, event.data, event.id) for event in EventStreamParser().feed(text.encode())]


def httpx_sse(text):
    """Return the events as httpx-sse sees them: (type, data, id)."""
    answer = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=text.encode())
    return [(event.event, event.data, event.id) for event in EventSource(answer).iter_sse()]


def line_ends(text):
    """Return `text` with the one line end that a parser leaves."""
    return re.sub("\r\n|\r|\n", "\n", text)


def original(fields, name):
    """Return the bytes that JSON `fields` say, however they say it."""
    if f"{name}_base64" in fields:
        assert name not in fields
        return base64.b64decode(fields[f"{name}_base64"], validate=True)
    return None if fields[name] is None else fields[name].encode()


def check(event, value, key, record_headers):
    """Compare a parsed event with the record that it was made of."""
    kind, data, _id = event
    if value is None:
        fields = json.loads(data)
        assert kind == "tombstone"
        assert original(fields, "key") == key
        found = [(each["name"], original(each, "value")) for each in fields.get("headers", [])]
        assert found == (record_headers or [])
        return
    try:
        text = value.decode()
    except UnicodeDecodeError:
        assert kind == "binary"
        assert base64.b64decode(data, validate=True) == value
    else:
        assert (kind, data) == ("message", line_ends(text))


@given(ids, st.none() | contents, st.none() | contents, headers)
@example("1abcdef.0-1", b"", None, None)
@example("1abcdef.0-1", b"\r\n\r\n\n\r", None, None)
@example("1abcdef.0-1", "\ufeff".encode(), None, None)
@example("1abcdef.0-1", None, "\ufeff%I\r\n".encode(), [("%I\n", b"\xff%")])
def test_record_any_bytes_come_back_from_both_parsers(event_id, value, key, record_headers):
    """One record is one event, equal but for its line ends, in whatever bytes it came."""
    text = sse.record(event_id, value, key, record_headers)
    for parse in (whatwg, httpx_sse):
        (event,) = parse(text)
        check(event, value, key, record_headers)
        assert event[2] == event_id


@given(st.lists(st.none() | contents, max_size=5))
def test_record_many_in_a_row_stay_apart(values):
    """No value swallows the one behind it."""
    text = "".join(sse.record(f"1abcdef.0-{number}", value) for number, value in enumerate(values))
    for parse in (whatwg, httpx_sse):
        events = parse(text)
        assert [event[2] for event in events] == [f"1abcdef.0-{number}" for number in range(len(values))]
        for event, value in zip(events, values, strict=True):
            check(event, value, None, None)


@given(ids, vectors, st.none() | contents, st.none() | contents, headers)
@example("1abcdef.0-1", "1.2", b"%I %(x)s %% %", None, None)
def test_live_record_filtered_by_the_proxy_is_the_replayed_one(event_id, vector, value, key, record_headers):
    """Live and replayed, an event is the same to the byte, with the client's vector in the place of the proxy's."""
    live = sse.live_record(event_id, value, key, record_headers)
    assert build_id_filter(live, vector) == sse.record(f"{event_id}.{vector}", value, key, record_headers)


@given(st.text())
def test_escape_filtered_by_the_proxy_gives_the_text_back(text):
    """What goes out with a hold passes the filter unharmed."""
    assert build_id_filter(sse.escape(text), "vector") == text


sealable = st.text(st.characters(codec="utf-8") | st.sampled_from("%()I\\"), min_size=1)


@pytest.fixture(scope="module")
def small_blocks():
    """Have blocks end everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse, "BLOCK", 3)
        yield


@given(sealable)
@example("")
@example("%(x)I%%%I\\)\\\\)")
def test_sealed_filtered_by_the_proxy_gives_the_text_back(small_blocks, text):
    """Whatever stands in it."""
    assert build_id_filter(sse.sealed(text), "vector") == text


@given(sealable, st.data())
def test_sealed_and_cut_off_is_refused_by_the_proxy(small_blocks, text, data):
    """But for a cut between two blocks: what has passed then are whole blocks."""
    whole = sse.sealed(text)
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    try:
        passed = build_id_filter(cut)
    except ValueError:
        return
    assert passed
    assert passed == text[: len(passed)]
    assert len(passed) % sse.BLOCK == 0


@given(st.none() | contents, st.none() | contents, headers)
def test_record_event_is_the_first_line(value, key, record_headers):
    """Each block begins with its type, which is one of three, and ends with one blank line."""
    text = sse.record("1abcdef.0-1", value, key, record_headers)
    first, second, _ = text.split("\n", 2)
    assert first in {"event: message", "event: binary", "event: tombstone"}
    assert second == "id: 1abcdef.0-1"
    assert text.endswith("\n\n")
    assert "\r" not in text


@pytest.mark.parametrize(
    ("value", "event"),
    [
        (None, ("tombstone", '{"key":"k"}')),
        (b"", ("message", "")),
        (b"\n", ("message", "\n")),
        (b"\r\r\n\n", ("message", "\n\n\n")),
        ("\ufeffx".encode(), ("message", "\ufeffx")),
        (b" x", ("message", " x")),
        (b"\xff\xfe", ("binary", "//4=")),
        (b"a\nid: 1\nevent: stream-reset", ("message", "a\nid: 1\nevent: stream-reset")),
    ],
    ids=ascii,
)
def test_record_special_value_is_this_event(value, event):
    """The cases that are easily got wrong, spelt out."""
    assert whatwg(sse.record("1abcdef.0-1", value, b"k")) == [(*event, "1abcdef.0-1")]


def test_tombstone_binary_key_and_headers_are_told_apart_from_text():
    """What is base64 is called so."""
    fields = json.loads(sse.tombstone(b"\xff", [("h", None), ("h", b"\xfe"), ("i", b"x")]))
    assert fields == {
        "key_base64": "/w==",
        "headers": [
            {"name": "h", "value": None},
            {"name": "h", "value_base64": "/g=="},
            {"name": "i", "value": "x"},
        ],
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10), st.lists, max_leaves=5
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4), st.none() | ids)
def test_notice_any_fields_is_one_event(fields, event_id):
    """A notice is ours by its name, and moves the cursor only when it has an id."""
    parser = EventStreamParser("before")
    (event,) = parser.feed(sse.notice("reset", fields, event_id).encode())
    assert (event.type, json.loads(event.data), event.id) == ("stream-reset", fields, event_id or "before")


def test_retry_is_no_event_and_sets_the_time():
    """The client learns when to come back, and its listeners nothing."""
    parser = EventStreamParser()
    assert parser.feed(sse.retry().encode()) == []
    assert parser.retry == 2000


def test_retry_with_jitter_spreads_from_two_to_five_seconds():
    """Not all come back at once, none too early or late."""
    found = {int(re.fullmatch(r"retry: (\d+)\n\n", sse.retry_with_jitter())[1]) for _ in range(200)}
    assert min(found) >= 2000
    assert max(found) <= 5000
    assert len(found) > 100


def test_keep_alive_is_a_comment():
    """The bytes that keep a connection open mean nothing."""
    parser = EventStreamParser()
    assert parser.feed(sse.KEEP_ALIVE.encode()) == []
    assert parser.comments == 1
