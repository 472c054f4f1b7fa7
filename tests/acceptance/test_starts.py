"""Where a stream starts and ends, by its URL, through a real Kafka, which knows when records were written."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest

from tests.acceptance.crowd import arrived, told
from tests.harness.check import NumberedWriter, check
from tests.harness.eventstream import EventStreamParser
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

COUNT = 60
STEP = 1000
"""Milliseconds between two records, which are written in turns to four partitions."""


@pytest.fixture(scope="module")
def begin():
    """Return when the first record was written, in ms: not so long ago that retention would delete it."""
    return int(time.time() * 1000) - 3_600_000


@pytest.fixture(scope="module")
def dated(kafka, unused_topics, stack, begin):
    """Make a topic with records whose value is their number."""
    name = unused_topics.pop()
    producer = kafka.producer()
    for number in range(COUNT):
        producer.produce(name, b"%d" % number, partition=number % 4, timestamp=begin + number * STEP)
    assert producer.flush(20) == 0
    return name


def read(stack, topic, query):
    """Return the numbers of the records that a bounded request brings, and its last event."""
    answer = httpx.get(stack.url(f"/events/{topic}/?{query}"), timeout=20)
    assert answer.status_code == 200, answer.text
    events = EventStreamParser().feed(answer.content)
    assert [event.type for event in events if event.type.startswith("stream-")] == [
        "stream-open",
        "stream-end",
    ]
    return sorted(int(event.data) for event in events[1:-1])


def iso(milliseconds, zone=UTC):
    """Return a time as ISO 8601 writes it."""
    return datetime.fromtimestamp(milliseconds / 1000, zone).isoformat()


# --- against the log --------------------------------------------------------------------------------------------------


def test_each_way_to_say_a_time_means_the_same(stack, dated, begin):
    """Also a plus that nobody encoded; a record of that very time is in."""
    moment = begin + 42 * STEP
    east = timezone(timedelta(hours=1))
    for text in (
        str(moment),
        iso(moment).replace("+00:00", "Z"),
        iso(moment).replace("+00:00", "%2B00:00"),
        iso(moment, east),  # its plus arrives as a space
        iso(moment).replace("+00:00", ""),
    ):
        assert read(stack, dated, f"since={text}&until=now") == list(range(42, COUNT)), text


def test_since_a_time_before_now(stack, dated, begin):
    """Relative to the request."""
    hours = read(stack, dated, "since=-2h&until=now")
    assert hours == list(range(COUNT))
    assert read(stack, dated, "since=-1s&until=now") == []


@pytest.mark.parametrize(
    ("first", "last"), [(0, COUNT - 1), (10, 20), (10, 10), (20, 10), (COUNT, COUNT), (-5, -1), (-5, 3)]
)
def test_since_and_until_are_both_inclusive(stack, dated, begin, first, last):
    """Whatever partition a record is in; an empty time brings nothing."""
    query = f"since={begin + first * STEP}&until={begin + last * STEP}"
    assert read(stack, dated, query) == [number for number in range(COUNT) if first <= number <= last]


@pytest.mark.parametrize("count", [1, 5, COUNT, 1000])
def test_last_is_by_time_across_partitions(stack, dated, count):
    """Not so many of each."""
    assert read(stack, dated, f"last={count}&until=now") == list(range(max(0, COUNT - count), COUNT))


def test_partition_from_an_exact_offset(stack, dated):
    """Every fourth record is in it."""
    assert read(stack, dated, "partition=3&offset=5&until=now") == list(range(23, COUNT, 4))


def test_earliest_until_now_is_all(stack, dated):
    """As a bounded read, through the proxy."""
    assert read(stack, dated, "offset=earliest&until=now") == list(range(COUNT))


def test_event_source_that_comes_back_after_the_end_gives_up(stack, dated, listen):
    """It reconnects after every end; 204 tells it that there is no more."""
    client = listen(stack.url(f"/events/{dated}/?last=5&until=now"), reconnect=True, max_retry=0.2)
    client.wait_for(lambda client: client.ended, 20, "it gives up")
    assert client.statuses == [200, 204]
    assert len(client.records) == 5


# --- past and live ----------------------------------------------------------------------------------------------------


def test_each_start_joins_live_without_gap_or_repetition_while_records_are_written(
    kafka, stack, topic, listen
):
    """Fifteen clients of five kinds, one after the other, at 500 records a second; and all resume after a cut."""
    with NumberedWriter(kafka.bootstrap, topic, rate=500) as writer:
        writer.wait_total(1000, 20)
        middle = int(time.time() * 1000)
        writer.wait_total(1500, 20)
        clients = {}
        for turn in range(3):
            for query in (
                "offset=earliest",
                "last=200",
                f"since={middle}",
                f"since={iso(middle - 500)}",
                "partition=2&offset=100",
            ):
                clients[query, turn] = listen(
                    stack.url(f"/events/{topic}/?{query}"), reconnect=True, max_retry=0.2
                )
        for client in clients.values():
            client.wait_open(20)
        writer.wait_total(writer.total + 500, 20)
        for client in clients.values():
            client.cut()
        writer.wait_total(writer.total + 500, 20)
        last = writer.stop()
    for (query, _turn), client in clients.items():
        wanted = {2: last[2]} if query.startswith("partition") else last
        client.wait_for(lambda client, wanted=wanted: arrived(client, wanted), 30, "everything")
        begins = {"offset=earliest": 0, "partition=2&offset=100": 100}.get(query)
        check(client.records, wanted, first=begins).assert_ok()
        values = [json.loads(event.data) for event in client.records]
        if query == "last=200":
            assert 200 <= sum(value["t"] < client.notices[0].time for value in values) < 1000
        elif query.startswith("partition"):
            assert {value["p"] for value in values} == {2}
        elif query.startswith("since"):
            since = middle if query.endswith(str(middle)) else middle - 500
            # The value's time is taken a moment before the record's.
            assert since - 20 <= min(value["t"] for value in values) / 1e6 <= since + 50
        assert [notice.type for notice in told(client)] == ["stream-open"] * 2
        assert len(client.connections) == 2


def test_until_a_time_to_come_is_live_until_then(kafka, stack, topic, listen):
    """And ends within a second or so, with all that was written before."""
    with NumberedWriter(kafka.bootstrap, topic, rate=200) as writer:
        writer.wait_total(100, 20)
        end = int(time.time() * 1000) + 3000
        client = listen(stack.url(f"/events/{topic}/?last=10&until={end}"), reconnect=True, max_retry=0.2)
        client.wait_for(lambda client: client.ended, 20, "it gives up")
        writer.stop()
    assert client.statuses == [200, 204]
    assert client.notices[-1].type == "stream-end"
    assert end - 100 <= client.notices[-1].time / 1e6 <= end + 3000
    values = [json.loads(event.data) for event in client.records]
    written = {(p, n) for p, last in writer.acknowledged.items() for n in range(last + 1)}
    got = {(value["p"], value["seq"]) for value in values}
    assert len(got) == len(values) > 400
    assert got < written
    for partition in range(4):
        numbers = sorted(number for p, number in got if p == partition)
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert max(v["t"] for v in values if v["p"] == partition) / 1e6 >= end - 100


# --- heartbeats -------------------------------------------------------------------------------------------------------


def silence(client):
    """Return the seconds between the last two of what a client was told."""
    *_, before, last = 0, 0, *(notice.time for notice in client.notices)
    return (last - before) / 1e9 if before else 0


def test_heartbeat_moves_the_cursor_of_a_client_that_is_sent_nothing(kafka, stack, topic, listen):
    """On one connection; what is written after one is what a client resumes with that gets."""
    kafka.produce(topic, b"before", partition=1)
    with stack.client(topic) as other:
        other.wait_open()
        client = listen(stack.url(f"/events/{topic}/?heartbeat=5"), reconnect=True)
        # A repair that finds nothing new says so by a heartbeat, too; there may be some until the client is in line.
        client.wait_for(lambda client: silence(client) >= 4, 15, "a heartbeat after silence")
        beat = client.notices[-1]
        said = json.loads(beat.data)
        assert (beat.type, said["lag"], said["ms"]) == ("stream-heartbeat", 0, 0)
        assert silence(client) <= 10
        assert client.last_event_id == beat.id
        kafka.produce(topic, b"after", partition=2)
        client.wait_for(1, 15)
        assert len(client.connections) == 1
    with stack.client(topic, last_event_id=beat.id) as again:
        again.wait_for(1, 15)
        assert [event.data for event in again.records] == ["after"]


def test_crowd_waits_connected_and_gets_what_was_written_before_and_meanwhile(
    kafka, topic, make_stack, listen
):
    """Who comes too early for its page has its stream at once, and its records when those before it have theirs."""
    env = {"KAFKASSE_TOPIC_PATTERN": topic, "KAFKASSE_CATCH_UP_RATE": "400000"}
    chain = make_stack(kafka, env=env)
    writer = NumberedWriter(kafka.bootstrap, topic, rate=100)
    writer.write(4000)  # a megabyte, as text
    until(lambda: sum(kafka.committed(chain.group, topic).values()) == writer.total, 20, "all is read")
    url = chain.url(f"/events/{topic}/?offset=earliest")
    with writer:
        crowd = [listen(url) for _ in range(4)]
        for client in crowd:
            client.wait_open()
        assert not crowd[-1].records, "it has to wait for seconds"
        for client in crowd:
            client.wait_for(lambda client, now=dict(writer.acknowledged): arrived(client, now), 45)
        last = writer.stop()
    for client in crowd:
        # A last item that was lost is noticed half a minute later.
        client.wait_for(lambda client: arrived(client, last), 45, "all records")
        check(client.records, last).assert_ok()
        assert len(client.connections) == 1
        assert [notice.type for notice in told(client)] == ["stream-open"]
