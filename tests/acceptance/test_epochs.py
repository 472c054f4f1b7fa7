"""Cursors of topics that are not what they were: deleted, created again, cut short, or others altogether."""

import json

import httpx
import pytest

from tests.harness.check import NumberedWriter, check
from tests.harness.cursors import event_id, positions_of
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

COUNT = 200
NOTICED = 20  # seconds; without the relay's hint a hold would ask after 29


def resets(client):
    """Return the data of the resets that a client was told."""
    return [json.loads(notice.data) for notice in client.notices if notice.type == "stream-reset"]


def wait_relayed(kafka, stack, topic):
    """Wait until the relay has published and committed all that is in the log."""
    until(lambda: kafka.has_committed_all(stack.group, topic), 20, "the relay is at the end")


def renewed_under_a_hold(kafka, stack, topic, count, *, noticed=False):
    """Have a topic created again while a client listens to it; return the client, closed, after it got everything."""
    NumberedWriter(kafka.bootstrap, topic).write(COUNT)
    start = event_id(topic, dict.fromkeys(range(4), 0), kafka.topic_id(topic))
    with stack.client(topic, last_event_id=start) as client:
        client.wait_for(COUNT, 20)
        written = renew(kafka, topic, count, gone=stack if noticed else None)
        client.wait_for(
            lambda client: by_partition(client) == written, NOTICED, "all records of the new topic"
        )
        kafka.produce(topic, b"live", partition=1)
        client.wait_for(lambda client: client.records[-1].data == "live", 20, "what comes")
    return client


def renew(kafka, topic, count, gone=None):
    """Delete the topic, create it again, and write so many records to each partition; return them by partition.

    Where a stack is given as `gone`, its relay notices first that there is no such topic any more.
    """
    kafka.delete_topic(topic)
    until(lambda: topic not in kafka.topics(), 20, "the topic is gone")
    if gone:
        gone.relays[0].wait_log("Subscribed topic not available", 30)
    kafka.create_topic(topic)
    written = {partition: [b"new %d/%d" % (partition, n) for n in range(count)] for partition in range(4)}
    for partition, values in written.items():
        kafka.produce(topic, *values, partition=partition)
    return written


def by_partition(client):
    """Return the values that a client got since its last reset, by partition."""
    found = {}
    last = max(
        (index for index, event in enumerate(client.events) if event.type == "stream-reset"), default=-1
    )
    for event in client.events[last + 1 :]:
        if not event.is_notice:
            partition = int(event.id.split(".")[1].split("-")[0], 36)
            found.setdefault(partition, []).append(event.data.encode())
    return found


@pytest.mark.parametrize("count", [10, 400], ids=["shorter than before", "longer than before"])
def test_topic_created_again_under_a_hold_begins_anew(kafka, stack, topic, count):
    """Where the new log is longer than the old one, its offsets alone would show nothing."""
    client = renewed_under_a_hold(kafka, stack, topic, count)
    told = resets(client)
    assert {each["reason"] for each in told} == {"recreated"}
    assert {(each["topic"], each["partition"]) for each in told} == {(topic, each) for each in range(4)}
    # Between the two topics there is none, and of one that will come nothing but its first partition is known.
    assert {each["resumed"] for each in told if each["partition"]} in ({0}, {None})
    assert {each["resumed"] for each in told if not each["partition"]} == {0}
    assert len(client.connections) == 1
    assert client.repeated() == []


def test_topic_whose_leaders_had_changed_is_created_again(own_kafka, make_stack):
    """A client of Kafka takes what it hears of the new topic's leaders for outdated: they count from 0 again.

    Be it there again at once, or only after the relay saw it gone.
    """
    topics = own_kafka.create_topic(), own_kafka.create_topic()
    own_kafka.restart()
    stack = make_stack(own_kafka)
    for topic, noticed in zip(topics, (False, True), strict=True):
        client = renewed_under_a_hold(own_kafka, stack, topic, 10, noticed=noticed)
        assert client.repeated() == []


@pytest.mark.parametrize("count", [10, 400], ids=["shorter than before", "longer than before"])
def test_topic_created_again_while_a_client_slept_is_told_to_it(kafka, stack, topic, count):
    """Its cursor is of a log that is no more; it gets the whole new one, after it was told."""
    last = NumberedWriter(kafka.bootstrap, topic).write(COUNT)
    asleep = event_id(topic, {partition: at + 1 for partition, at in last.items()}, kafka.topic_id(topic))
    written = renew(kafka, topic, count)
    with stack.client(topic, last_event_id=asleep) as client:
        client.wait_for(lambda client: by_partition(client) == written, 40, "all records of the new topic")
        told = [
            (each["reason"], each["partition"], each["requested"], each["resumed"]) for each in resets(client)
        ]
        assert told == [("recreated", partition, COUNT // 4, 0) for partition in range(4)]


def test_topic_deleted_while_a_client_slept_is_held_until_it_appears(kafka, stack, topic):
    """What was there is gone; what will be there, it gets from its first record on."""
    kafka.produce(topic, b"old")
    asleep = event_id(topic, {0: 1, 1: 0, 2: 0, 3: 0}, kafka.topic_id(topic))
    kafka.delete_topic(topic)
    until(lambda: topic not in kafka.topics(), 20, "the topic is gone")
    with stack.client(topic, last_event_id=asleep) as client:
        client.wait_open()
        assert {each["reason"] for each in resets(client)} == {"recreated"}
        kafka.create_topic(topic)
        kafka.produce(topic, b"first", partition=2)
        client.wait_for(1, 25)
        assert [event.data for event in client.records] == ["first"]


def test_records_deleted_while_a_client_slept_are_told(kafka, stack, topic):
    """`DeleteRecords`, as retention does: the reset names what is missing, and everything that is left follows."""
    last = NumberedWriter(kafka.bootstrap, topic).write(COUNT)
    # Of partition 2 nothing is left: a relay that had not come to its end would be told of the gap with the next record.
    wait_relayed(kafka, stack, topic)
    kafka.delete_records(topic, {0: 30, 2: 50})
    asleep = event_id(topic, dict.fromkeys(range(4), 10), kafka.topic_id(topic))
    with stack.client(topic, last_event_id=asleep) as client:
        client.wait_for(COUNT - 4 * 10 - 20 - 40, 20)
        assert resets(client) == [
            {"reason": "retention", "topic": topic, "partition": 0, "requested": 10, "resumed": 30},
            {"reason": "retention", "topic": topic, "partition": 2, "requested": 10, "resumed": 50},
        ]
        first = {0: 30, 1: 10, 2: 50, 3: 10}
        check(client.records, last, first=first).assert_ok()


def test_table_of_cursors_that_cannot_be_used(kafka, stack, topic):
    """Reason, and where the stream goes on, as docs/reference/cursor.md has them."""
    NumberedWriter(kafka.bootstrap, topic).write(COUNT)
    wait_relayed(kafka, stack, topic)
    now, topic_id = dict.fromkeys(range(4), COUNT // 4), kafka.topic_id(topic)
    begin = dict.fromkeys(range(4), 0)
    cases = {
        "foreign": (event_id("another", begin, topic_id), now, 1),
        "unreadable": ("1" + "z" * 100, now, 1),
        "recreated": (event_id(topic, {**begin, 0: 5}, "another-id"), begin, 4),
        "ahead": (event_id(topic, {**now, 3: 10_000}, topic_id), now, 1),
    }
    for reason, (text, goes_on, count) in cases.items():
        with stack.client(topic, last_event_id=text) as client:
            opened = client.wait_open()
            client.wait_for(
                lambda client, count=count: len(resets(client)) == count, 10, f"{count} x {reason}"
            )
            assert {each["reason"] for each in resets(client)} == {reason}
            assert positions_of(opened.id) == goes_on


@pytest.mark.parametrize(
    "text",
    [
        "1" * 10_000,
        "-1",
        "1abcdefgh.0--1",
        "1abcdefgh.0-1y2p0ij32e8e8",
        "Ünicode".encode().decode("latin-1"),
        "%00",
    ],
)
def test_garbage_is_no_server_error(stack, text):
    """Whatever somebody puts into a header or a URL; on more than 8 KB of headers Pushpin itself hangs up."""
    for url in (stack.url, stack.direct_url) if len(text) < 8000 else (stack.direct_url,):
        path = url("/events/garbage/?until=now")
        assert httpx.get(f"{path}&last_event_id={text}", timeout=10).status_code < 500
        headers = {"Last-Event-ID": text.encode("latin-1")}
        assert httpx.get(path, headers=headers, timeout=10).status_code < 500
