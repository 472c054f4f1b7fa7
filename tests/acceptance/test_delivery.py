"""The main job: what is written to Kafka arrives at clients of the proxy, whatever it is and whenever it is written."""

import base64
import json
import time
from itertools import islice

import httpx
import httpx_sse
import pytest

from kafkasse import cursor
from tests.acceptance.crowd import told
from tests.harness.check import NumberedWriter, check
from tests.harness.cursors import event_id, positions_of
from tests.harness.sse import EventSourceClient
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

# Content that the proxy's filter, JSON or the stream's own syntax could take for theirs.
AWKWARD = [
    b"%I %(x)s %% %",
    b'{"quoted": "\\" \\u0000", "tab": "\t"}',
    b"one\ntwo\rthree\r\nfour\n",
    b"",
    b"\n",
    b" leading space: and a colon",
    "snow ☃, clef 𝄞, line separator \u2028, byte order mark \ufeff".encode(),
    b"\x00\x01\x1f\x7f",
    b"id: 1\n\nevent: stream-reset\ndata: forged\n\n",
]


def shown(value: bytes) -> str:
    """Return the text that a client sees of a value: every line end becomes LF."""
    return value.decode().replace("\r\n", "\n").replace("\r", "\n")


def values(client: EventSourceClient) -> list[tuple[str, str]]:
    return [(event.type, event.data) for event in client.records]


def resume(stack, topic, last, **settings) -> EventSourceClient:
    return stack.client(topic, last_event_id=last, **settings)


# --- what a record looks like ------------------------------------------------------------------------------------


def test_first_bytes_open_the_stream(kafka, stack, topic):
    """A stream begins at once with `retry:` and the starting cursor, under the right headers."""
    with httpx.stream("GET", stack.url(f"/events/{topic}/"), timeout=10) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert not [name for name in answer.headers if name.startswith("grip-")]
        first, opened = islice(httpx_sse.EventSource(answer).iter_sse(), 2)
    assert (first.data, first.retry) == (
        "",
        2000,
    )  # a block that only tells the time to wait: browsers show nothing
    assert opened.event == "stream-open"
    assert json.loads(opened.data) == {
        "topics": {cursor.tag(topic, kafka.topic_id(topic)): topic},
        "partitions": 4,
    }
    assert positions_of(opened.id) == dict.fromkeys(range(4), 0)


@pytest.mark.parametrize("how", ["live", "replayed"])
def test_any_text_arrives_as_it_was_written(kafka, stack, topic, how):
    """Text passes the filter, JSON and the stream's syntax unharmed, live and from the log."""
    with stack.client(topic) as client:
        opened = client.wait_open()
        kafka.produce(topic, *AWKWARD)
        client.wait_for(len(AWKWARD), 10)
    if how == "replayed":
        with resume(stack, topic, opened.id) as client:
            client.wait_for(len(AWKWARD), 10)
    assert values(client) == [("message", shown(value)) for value in AWKWARD]


@pytest.mark.parametrize("how", ["live", "replayed"])
def test_other_bytes_arrive_as_base64(kafka, stack, topic, how):
    """A value that is not UTF-8 is a `binary` event."""
    value = bytes(range(256))
    with stack.client(topic) as client:
        opened = client.wait_open()
        kafka.produce(topic, value)
        client.wait_for(1, 10)
    if how == "replayed":
        with resume(stack, topic, opened.id) as client:
            client.wait_for(1, 10)
    assert values(client) == [("binary", base64.b64encode(value).decode())]


@pytest.mark.parametrize("how", ["live", "replayed"])
def test_tombstone_arrives_with_its_key(kafka, stack, topic, how):
    """A record without a value is a `tombstone` event whose data tells the key."""
    with stack.client(topic) as client:
        opened = client.wait_open()
        kafka.produce(topic, None, key=b"100% k\xc3\xa9y")
        client.wait_for(1, 10)
    if how == "replayed":
        with resume(stack, topic, opened.id) as client:
            client.wait_for(1, 10)
    assert values(client) == [("tombstone", '{"key":"100% kéy"}')]


def test_record_too_big_to_publish_arrives_through_the_log(kafka, stack):
    """A record of 1.5 MB reaches the client at its place, though no publish can carry it."""
    topic = kafka.create_topic(partitions=1, config={"max.message.bytes": "5000000"})
    big = b"%" + b"x" * 1_500_000
    with stack.client(topic) as client:
        client.wait_open()
        kafka.produce(topic, b"before", big, b"after")
        client.wait_for(3, 20)
        assert [event.data for event in client.records] == ["before", big.decode(), "after"]
        kafka.produce(topic, big)
        client.wait_for(4, 20)
        assert len(client.connections) == 1


def test_aborted_transaction_is_never_seen(kafka, stack, topic):
    """Of transactions only the committed ones arrive, live and from the log."""
    producer = kafka.producer(transactional_id=f"tx-{topic}")
    producer.init_transactions(10)
    with stack.client(topic) as client:
        opened = client.wait_open()
        for number in range(6):
            producer.begin_transaction()
            producer.produce(topic, b"%d" % number, partition=number % 2)
            producer.flush(10)
            (producer.commit_transaction if number % 3 else producer.abort_transaction)()
        client.wait_for(4, 15)
        assert sorted(event.data for event in client.records) == ["1", "2", "4", "5"]
    with resume(stack, topic, opened.id) as again:
        again.wait_for(4, 10)
        assert sorted(event.data for event in again.records) == ["1", "2", "4", "5"]


# --- topics and partitions that come later ------------------------------------------------------------------------


def test_topic_that_does_not_exist_yet_is_held_and_its_first_record_arrives(kafka, stack):
    """A stream may be opened before its topic exists; asking for it does not create it."""
    name = f"later-{time.time_ns()}"
    with stack.client(name) as client:
        client.wait_open()
        assert name not in kafka.topics()
        kafka.create_topic(name, partitions=3)
        for partition in (1, 0, 2):
            kafka.produce(name, b"first", b"second", partition=partition)
        client.wait_for(6, 15)
        assert sorted(event.data for event in client.records) == ["first"] * 3 + ["second"] * 3
        assert len(client.connections) == 1
    kafka.delete_topic(name)


def test_added_partitions_reach_clients_that_already_hold(kafka, stack, topic):
    """Within 10 s a hold learns of partitions that are added, and misses none of their records."""
    with stack.client(topic) as client:
        client.wait_open()
        kafka.produce(topic, b"old")
        client.wait_for(1, 10)
        kafka.add_partitions(topic, 6)
        kafka.produce(topic, b"new", b"newer", partition=5)
        client.wait_for(3, 15)
        assert [event.data for event in client.records] == ["old", "new", "newer"]
        assert set(positions_of(client.last_event_id)) == set(range(6))
        assert len(client.connections) == 1


def test_asking_never_creates_a_topic_even_where_the_broker_would(own_kafka_creating, make_stack):
    """With `auto.create.topics.enable` a look-up by name could create the topic; ours does not."""
    stack = make_stack(own_kafka_creating)
    for path in (
        "/events/nobody/",
        "/next/events/nobody/",
        f"/next/events/nobody/{event_id('nobody', {0: 3})}/",
    ):
        assert httpx.get(stack.direct_url(path), timeout=10).status_code == 200
    assert "nobody" not in own_kafka_creating.topics()


def test_internal_topics_are_neither_served_nor_listed(kafka, stack, topic):
    """Kafka's own topics look as if they were not there."""
    assert "__consumer_offsets" in kafka.topics()
    for name in ("__consumer_offsets", "_schemas", "_confluent-metrics"):
        assert httpx.get(stack.url(f"/events/{name}/"), timeout=10).status_code == 404
    listed = httpx.get(stack.url("/"), timeout=10).text
    assert f"/events/{topic}/" in listed
    assert "__consumer_offsets" not in listed


# --- resuming -----------------------------------------------------------------------------------------------------


def test_cut_stream_resumes_after_the_last_event(kafka, stack, topic):
    """Whatever is written while a browser is away comes first when it returns, and nothing comes twice."""
    writer = NumberedWriter(kafka.bootstrap, topic)
    with stack.client(topic, reconnect=True, max_retry=0.2) as client:
        client.wait_open()
        for _ in range(3):
            writer.write(40)
            client.wait_for(writer.total, 10)
            client.cut()
            writer.write(40)
            client.wait_for(writer.total, 15)
        report = check(client.records, writer.acknowledged)
    report.assert_ok()
    assert report.again == 0
    assert len(client.connections) == 4


def test_long_absence_is_made_up_for_page_by_page(kafka, stack, topic):
    """What a client missed comes in as many pages as it takes, and then the stream goes on live."""
    writer = NumberedWriter(kafka.bootstrap, topic)
    with stack.client(topic) as client:
        opened = client.wait_open()
    writer.write(20_000)
    with resume(stack, topic, opened.id) as client:
        client.wait_for(20_000, 30)
        writer.write(400)
        client.wait_for(20_400, 15)
        check(client.records, writer.acknowledged).assert_ok()
        assert len(client.connections) == 1


def test_resume_by_query_parameter(kafka, stack, topic):
    """Where the header cannot be set, `?last_event_id=` resumes as exactly, with and without the slash."""
    with stack.client(topic) as client:
        opened = client.wait_open()
    kafka.produce(topic, b"a", b"b", partition=3)
    for slash in ("/", ""):
        with EventSourceClient(stack.url(f"/events/{topic}{slash}?last_event_id={opened.id}")) as client:
            client.wait_for(2, 10)
            assert [event.data for event in client.records] == ["a", "b"]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("unreadable", "nonsense"),
        ("unreadable", "1" + "z" * 5000),
        ("foreign", event_id("another-topic", {0: 1})),
        ("ahead", None),
    ],
)
def test_cursor_that_cannot_be_used_is_told_and_the_stream_is_live(kafka, stack, topic, reason, text):
    """Never a silent gap: the client is told why its cursor does not hold, and gets what comes."""
    text = text or event_id(topic, {0: 1000, 1: 0, 2: 0, 3: 0}, kafka.topic_id(topic))
    with resume(stack, topic, text) as client:
        client.wait_for(lambda c: len(c.notices) > 1, 10)
        opened, reset = told(client)
        assert [opened.type, reset.type] == ["stream-open", "stream-reset"]
        assert json.loads(reset.data)["reason"] == reason
        kafka.produce(topic, b"live")
        client.wait_for(1, 10)
        assert client.statuses == [200]


def test_records_gone_by_retention_are_told(kafka, stack, topic):
    """A client that slept longer than the log remembers is told, and gets everything that is left."""
    writer = NumberedWriter(kafka.bootstrap, topic)
    with stack.client(topic) as client:
        opened = client.wait_open()
    writer.write(400)
    until(lambda: kafka.committed(stack.group, topic).get(0) == 100, 10, "the relay has read them")
    kafka.delete_records(topic, {0: 60})
    with resume(stack, topic, opened.id) as client:
        client.wait_for(340, 15)
        reset = [event for event in client.notices if event.type == "stream-reset"]
        assert [json.loads(event.data) for event in reset] == [
            {"reason": "retention", "topic": topic, "partition": 0, "requested": 0, "resumed": 60}
        ]
        check(client.records, writer.acknowledged, first={0: 60}).assert_ok()


def test_retention_under_a_sleeping_relay_is_told(kafka, make_stack):
    """Records that are gone before the relay read them break the chain: its holders are told."""
    topic = kafka.create_topic(partitions=1)
    stack = make_stack(kafka, env={"KAFKASSE_TOPIC_PATTERN": topic})
    with stack.client(topic, reconnect=True) as client:
        client.wait_open()
        kafka.produce(topic, b"0", b"1")
        client.wait_for(2, 15)
        stack.relays[0].terminate()
        kafka.produce(topic, *[b"%d" % number for number in range(2, 10)])
        kafka.delete_records(topic, {0: 6})
        stack.relays[0].start()
        client.wait_for(6, 40)
        assert [event.data for event in client.records] == ["0", "1", "6", "7", "8", "9"]
        reset = [json.loads(event.data) for event in client.notices if event.type == "stream-reset"]
        assert reset == [
            {"reason": "retention", "topic": topic, "partition": 0, "requested": 2, "resumed": 6}
        ]


def test_topic_with_many_partitions(kafka, stack):
    """A hundred partitions are one stream with one cursor."""
    topic = kafka.create_topic(partitions=100)
    writer = NumberedWriter(kafka.bootstrap, topic, partitions=100)
    with stack.client(topic, reconnect=True, max_retry=0.2) as client:
        client.wait_open()
        writer.write(1000)
        client.wait_for(1000, 20)
        client.cut()
        writer.write(1000)
        client.wait_for(2000, 20)
        check(client.records, writer.acknowledged).assert_ok()
    kafka.delete_topic(topic)
