"""The body of an answer: openings, resets, and records with the cursor that each leads to."""

import json
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor, replay, sse
from kafkasse.history import Page, Record
from kafkasse.replay import Reset, Start
from kafkasse.stream import Stream
from tests.harness.eventstream import EventStreamParser
from tests.kafkasse.test_cursor import by_tag

TOPICS = ("orders", "shipments", "t")


def stream_of(*topics):
    """Return the stream of these topics, as Kafka has created them."""
    return Stream(topics).tagged({topic: cursor.tag(topic, f"id of {topic}") for topic in topics})


def at(*positions, topic="t"):
    """Return positions of one topic, from partition 0 on."""
    return {(topic, each): position for each, position in enumerate(positions)}


def parsed(text):
    """Return the events and what the parser knows at the end."""
    parser = EventStreamParser()
    return parser.feed(text.encode()), parser


@st.composite
def starts(draw):
    """Draw a stream of one topic or several, and where a client is in each of their partitions."""
    topics = sorted(draw(st.sets(st.sampled_from(TOPICS), min_size=1)))
    positions = {}
    for topic in topics:
        positions |= at(*draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=4)), topic=topic)
    return stream_of(*topics), positions


@st.composite
def pages(draw):
    """Draw where a page starts and the page: by topic and partition, in offset order, with holes."""
    stream, start = draw(starts())
    records, positions = [], dict(start)
    for topic, partition in start:
        for gap in draw(st.lists(st.integers(0, 3), max_size=4)):
            offset = positions[topic, partition] + gap
            value = f"{topic}:{partition}:{offset}".encode()
            records.append(Record(topic, partition, offset, value, None, None, 0))
            positions[topic, partition] = offset + 1
    return stream, start, Page(positions, records)


@given(starts())
def test_opening_says_where_the_client_starts(started):
    """The first bytes set the reconnection time and the first cursor, before any record."""
    stream, positions = started
    text = replay.opening(stream, Start(positions))
    (event,), parser = parsed(text)
    assert text.startswith("retry: 2000\n\nevent: stream-open\nid: ")
    assert parser.retry == 2000
    assert event.type == "stream-open"
    assert cursor.decode(event.id).positions == by_tag(stream, positions)
    topics = {tag: topic for topic, tag in stream.tags.items()}
    assert json.loads(event.data) == {"topics": topics, "partitions": len(positions)}


def test_opening_with_resets_tells_them_after_the_opening():
    """A client that cannot go on learns why, and its cursor is the new start."""
    stream = stream_of("t")
    (opened, reset), _ = parsed(replay.opening(stream, Start(at(3), (Reset("ahead", "t", 0, 9, 3),))))
    assert (opened.type, reset.type) == ("stream-open", "stream-reset")
    expected = {"reason": "ahead", "topic": "t", "partition": 0, "requested": 9, "resumed": 3}
    assert json.loads(reset.data) == expected
    assert opened.id == reset.id == stream.event_id(at(3))


def test_resets_of_the_whole_cursor_name_no_topic():
    """Each field is there, so that a client need not ask for it."""
    (reset,), _ = parsed(replay.resets(stream_of("t"), Start(at(3), (Reset("foreign"),))))
    nothing = dict.fromkeys(("topic", "partition", "requested", "resumed"))
    assert json.loads(reset.data) == {"reason": "foreign", **nothing}


@given(starts())
def test_heartbeat_and_ending_have_the_cursor_of_where_the_client_is(started):
    """A notice moves the client in every partition of every topic, also where it is idle."""
    stream, positions = started
    (beat, end), _ = parsed(
        sse.heartbeat(stream.event_id(positions), 3, 250, 1.5) + replay.ending(stream, positions)
    )
    assert (beat.type, end.type) == ("stream-heartbeat", "stream-end")
    assert json.loads(beat.data) == {"lag": 3, "ms": 250, "time": 1500}
    assert json.loads(end.data) == {"reason": "until"}
    assert beat.id == end.id
    assert cursor.decode(end.id).positions == by_tag(stream, positions)


@given(pages())
def test_events_each_cursor_names_what_has_been_seen(drawn):
    """Whoever resumes with the id of any event gets exactly what comes behind it, in every topic."""
    stream, start, page = drawn
    events, _ = parsed(replay.events(stream, start, page).text)
    seen = dict(start)
    assert [event.data for event in events] == [record.value.decode() for record in page.records]
    for event, record in zip(events, page.records, strict=True):
        seen[record.topic, record.partition] = record.offset + 1
        assert cursor.decode(event.id) == cursor.Cursor(by_tag(stream, seen))


@given(pages())
def test_events_ids_begin_with_topic_and_partition_of_the_record(drawn):
    """Live or replayed, an event's id says first where it is from."""
    stream, start, page = drawn
    events, _ = parsed(replay.events(stream, start, page).text)
    for event, record in zip(events, page.records, strict=True):
        head = cursor.head(stream.tags[record.topic], record.partition)
        assert event.id.startswith(head + cursor.encode_number(record.offset + 1) + ".")


@given(pages())
def test_events_of_one_partition_share_what_is_behind_the_own_position(drawn):
    """It is written once for all of them."""
    stream, start, page = drawn
    events, _ = parsed(replay.events(stream, start, page).text)
    found = zip(events, page.records, strict=True)
    for _key, group in groupby(found, key=lambda each: (each[1].topic, each[1].partition)):
        assert len({event.id.split(".", 2)[2] for event, _record in group}) == 1


@given(pages(), st.integers(1, 1000))
def test_events_that_are_cut_short_go_on_where_they_ended(drawn, most):
    """Nothing is left out between two answers, and none is longer than it may be, unless it is one event."""
    stream, start, page = drawn
    one = replay.events(stream, start, page, most)
    assert len(one.text.encode()) <= most or one.records == 1
    left = [each for each in page.records if each.offset >= one.positions[each.topic, each.partition]]
    assert one.records + len(left) == len(page.records)
    other = replay.events(stream, one.positions, Page(page.positions, left))
    both, whole = parsed(one.text + other.text)[0], parsed(replay.events(stream, start, page).text)[0]
    assert [(each.data, cursor.decode(each.id)) for each in both] == [
        (each.data, cursor.decode(each.id)) for each in whole
    ]
    assert other.positions == page.positions


def test_events_of_one_partition_alone_say_so():
    """Each of them, so that it can be resumed from."""
    records = [Record("t", 2, offset, b"x", None, None, 0) for offset in (7, 9)]
    stream = stream_of("t").only(2)
    events, _ = parsed(replay.events(stream, {("t", 2): 7}, Page({("t", 2): 10}, records)).text)
    tag = stream.tags["t"]
    assert [event.id for event in events] == [f"{tag}.2-8.-", f"{tag}.2-a.-"]


def test_events_lost_records_are_told_before_the_others():
    """What retention took is named, partition by partition, with what was wanted and where it goes on."""
    stream = stream_of("orders", "t")
    start = at(1, 2, 4) | at(5, topic="orders")
    lost = {("t", 1): (2, 7), ("t", 0): (1, 9), ("orders", 0): (5, 6)}
    after = at(9, 8, 4) | at(6, topic="orders")
    page = Page(after, [Record("t", 1, 7, b"x", None, None, 0)], lost=lost)
    (*resets, event), _ = parsed(replay.events(stream, start, page).text)
    assert [list(json.loads(reset.data).values()) for reset in resets] == [
        ["retention", "orders", 0, 5, 6],
        ["retention", "t", 0, 1, 9],
        ["retention", "t", 1, 2, 7],
    ]
    moved = by_tag(stream, at(9, 7, 4) | at(6, topic="orders"))
    assert [cursor.decode(reset.id).positions for reset in resets] == [moved] * 3
    assert cursor.decode(event.id).positions == by_tag(stream, after)


def test_breaks_tell_a_log_cut_at_its_end_from_one_cut_at_its_beginning():
    """A log that goes on before what was wanted has lost its newest records."""
    page = Page(at(9, 3), lost={("t", 0): (1, 9), ("t", 1): (5, 3)})
    assert replay.breaks(page) == (Reset("retention", "t", 0, 1, 9), Reset("ahead", "t", 1, 5, 3))


def test_events_empty_page_is_empty():
    """Nothing missed, nothing said."""
    assert not replay.events(stream_of("t"), at(1), Page(at(1))).text
