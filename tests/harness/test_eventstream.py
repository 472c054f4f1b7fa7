"""The parser of the tests' client, against the standard's examples and against httpx-sse."""

from itertools import pairwise

import pytest
from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.eventstream import Event, EventStreamParser

LINES = st.one_of(
    st.sampled_from(
        ["", "", "data", "data:", "data: ", "data:  two", ":", ": comment", "event", "event: a", "id"]
    ),
    st.sampled_from(
        ["id: 1", "id:1\0", "retry: 5", "retry: -5", "retry: 5x", "dat: x", " data: x", "data : x"]
    ),
    st.builds("{}:{}".format, st.sampled_from(["data", "event", "id", "x"]), st.text(max_size=8)),
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"])), max_size=30).map(
    lambda lines: "".join(line + end for line, end in lines)
)


def parsed(*chunks: bytes) -> list[Event]:
    """Return the events of a stream that comes in these chunks."""
    parser = EventStreamParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def parsed_by_httpx_sse(text: str) -> list[tuple[str, str, str]]:
    """Return (type, data, id) as the other implementation sees them, those without data left out.

    Contrary to the standard it also returns blocks without any data line; and it does not tell them from those with
    an empty one.
    """
    lines, decoder = SSELineDecoder(), SSEDecoder()
    split = (lines.decode(text) if text else []) + lines.flush()
    events = [event for line in split if (event := decoder.decode(line))]
    return [(event.event, event.data, event.id) for event in events if event.data]


@given(STREAMS)
def test_parser_any_stream_agrees_with_httpx_sse(text):
    """Two implementations read the same events from whatever is made of lines."""
    if text.startswith("\ufeff"):
        return
    ours = [(event.type, event.data, event.id) for event in parsed(text.encode()) if event.data]
    assert ours == parsed_by_httpx_sse(text)


@given(STREAMS, st.data())
def test_parser_any_chunks_give_the_same_events(text, data):
    """It does not matter where the network cuts, not even within a character or between CR and LF."""
    stream = text.encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    cuts = [0, *places, len(stream)]
    assert parsed(*(stream[a:b] for a, b in pairwise(cuts))) == parsed(stream)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("message", "YHOO\n+2\n10", "")]),
        (b"data\n\ndata\ndata\n\ndata:", [Event("message", "", ""), Event("message", "\n", "")]),
        (b"data:test\n\ndata: test\n\n", [Event("message", "test", "")] * 2),
        (b"\xef\xbb\xbfdata: x\n\n", [Event("message", "x", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", []),
        (b"id: 1\n\ndata: x\n\nid\ndata: y\n\n", [Event("message", "x", "1"), Event("message", "y", "")]),
        (b"event: a\n\ndata: x\n\n", [Event("message", "x", "")]),
        (b"id: 1\nid: 2\0\ndata: x\n\n", [Event("message", "x", "1")]),
        (b"data: \xff\n\n", [Event("message", "\ufffd", "")]),
        (b"data: x\r\rdata: y\r\n\r\n", [Event("message", "x", ""), Event("message", "y", "")]),
    ],
)
def test_parser_example_of_the_standard_gives_its_events(stream, events):
    """The standard's own examples, and its rules that httpx-sse treats otherwise."""
    assert parsed(stream) == events


def test_parser_carriage_return_ends_the_event_at_once():
    """An event is not held back until the byte after a CR shows whether it is a LF."""
    assert parsed(b"data: x\r\r") == [Event("message", "x", "")]


def test_parser_id_of_an_unfinished_block_does_not_resume():
    """A cut in the middle of a block resumes before it."""
    parser = EventStreamParser()
    parser.feed(b"id: 1\ndata: x\n\nid: 2\ndata: y\n")
    assert parser.last_event_id == "1"


@pytest.mark.parametrize(
    ("text", "retry"), [("5000", 5000), ("-1", None), ("5s", None), ("٣", None), ("", None)]
)
def test_parser_retry_takes_ascii_digits_only(text, retry):
    """Anything else leaves the time as it was."""
    parser = EventStreamParser()
    parser.feed(f"retry: {text}\n: comment\n".encode())
    assert (parser.retry, parser.comments) == (retry, 1)
