"""Exact resume: streams cut at random places, pages that end near a chunk's edge, and logs with holes."""

import random
import re
import time

import httpx
import pytest

from kafkasse import cursor
from relay.chunks import CHUNK_BYTES
from tests.harness.check import NumberedWriter, check
from tests.harness.cursors import event_id, positions_of
from tests.harness.eventstream import EventStreamParser
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

CUTS, LIVE_CUTS = 80, 20
RECORDS = 900


def without_rest(event):
    """Return an event with the part of its id that is its own: tag, partition, position."""
    return event.type, ".".join(event.id.split(".")[:2]), event.data


def bounded(stack, topic, last):
    """Return the records' events that a client gets who comes back with `last`, up to the log's end."""
    answer = httpx.get(stack.url(f"/events/{topic}/?until=now"), headers={"Last-Event-ID": last}, timeout=20)
    if answer.status_code == httpx.codes.NO_CONTENT:
        return []
    events = EventStreamParser().feed(answer.content)
    assert {each.type for each in events if each.type.startswith("stream-")} == {"stream-open", "stream-end"}
    return [each for each in events if not each.type.startswith("stream-")]


@pytest.fixture
def three(kafka):
    """Return a topic of three partitions."""
    return kafka.create_topic(partitions=3)


def test_cut_anywhere_the_rest_is_exact(kafka, stack, three):
    """Eighty cuts of a stream that has ended: by the id of the last event that was read, what is missing, byte for byte."""
    chance = random.Random(20)  # noqa: S311 - repeatable, and no secret
    NumberedWriter(kafka.bootstrap, three, partitions=3).write(RECORDS)
    whole = bounded(stack, three, event_id(three, dict.fromkeys(range(3), 0), kafka.topic_id(three)))
    assert len(whole) == RECORDS
    sent = {without_rest(event) for event in whole}
    for cut in sorted(chance.sample(range(RECORDS), CUTS)):
        at = positions_of(whole[cut].id)
        rest = bounded(stack, three, whole[cut].id)
        assert {without_rest(event) for event in rest} <= sent
        assert len(rest) == RECORDS - cut - 1
        # In each partition just what comes behind, in its order.
        for partition, position in at.items():
            mine = [event for event in rest if f".{partition}-" in event.id]
            assert [positions_of(event.id)[partition] for event in mine] == list(
                range(position + 1, RECORDS // 3 + 1)
            )


def test_cut_anywhere_while_records_come_in_nothing_is_lost_or_repeated(kafka, stack, three, listen):
    """Twenty cuts at random moments of a live stream; whatever was sent twice is the same both times."""
    chance = random.Random(21)  # noqa: S311
    with NumberedWriter(kafka.bootstrap, three, partitions=3, rate=600) as writer:
        client = listen(stack.url(f"/events/{three}/?offset=earliest"), reconnect=True, max_retry=0.05)
        client.wait_open(20)
        for cut in range(1, LIVE_CUTS + 1):
            goal = len(client.records) + chance.randint(1, 250)
            client.wait_for(lambda client, goal=goal: len(client.records) >= goal, 20, f"{goal} records")
            client.cut()
            client.wait_connections(cut + 1, 20)
        last = writer.stop()
    client.wait_for(
        lambda client: all(positions_of(client.last_event_id).get(p, 0) > at for p, at in last.items()),
        30,
        f"everything up to {last}",
    )
    check(client.records, last).assert_ok()
    first = {}
    for event in client.records:
        own = ".".join(event.id.split(".")[:2])
        assert first.setdefault(own, event.data) == event.data


def test_partitions_added_while_a_client_slept_are_read_from_their_beginnings(kafka, stack, topic):
    """It had not heard of them; the others go on where it was."""
    writer = NumberedWriter(kafka.bootstrap, topic)
    writer.write(400)
    asleep = event_id(topic, dict.fromkeys(range(4), 60), kafka.topic_id(topic))
    kafka.add_partitions(topic, 6)
    kafka.produce(topic, *[b"%d" % n for n in range(30)], partition=5)
    until(lambda: kafka.committed(stack.group, topic).get(5) == 30, 20, "the relay has them")
    with stack.client(topic, last_event_id=asleep) as client:
        client.wait_for(4 * 40 + 30, 20)
        assert "stream-reset" not in {event.type for event in client.notices}
        new = [event.data for event in client.records if event.id.split(".")[1].startswith("5-")]
        assert new == [str(n) for n in range(30)]
        assert positions_of(client.last_event_id) == {**dict.fromkeys(range(4), 100), 4: 0, 5: 30}


@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_page_that_ends_beside_a_chunks_edge_joins_the_live_stream(kafka, stack, topic, beside, listen):
    """On it, one record before, and one behind: the client is live at once, and gets each record once."""
    value = b"x" * 1000
    per_chunk = CHUNK_BYTES // (len(value) + 60) + 1
    writer = kafka.producer()
    for _ in range(3 * per_chunk + beside):
        writer.produce(topic, value, partition=0)
    assert writer.flush(20) == 0
    total = 3 * per_chunk + beside
    clients = [
        listen(stack.url(f"/events/{topic}/?partition=0&offset={start}"))
        for start in (0, per_chunk - 1, per_chunk, per_chunk + 1, 2 * per_chunk + beside, total - 1, total)
    ]
    for client in clients:
        client.wait_open(20)
    kafka.produce(topic, *[b"live %d" % n for n in range(20)])
    for client, start in zip(
        clients,
        (0, per_chunk - 1, per_chunk, per_chunk + 1, 2 * per_chunk + beside, total - 1, total),
        strict=True,
    ):
        client.wait_for(
            lambda client: client.records and client.records[-1].data == "live 19", 20, "the last"
        )
        places = [cursor.decode_number(re.split(r"[.-]", event.id)[2]) for event in client.records]
        assert places == list(range(start + 1, total + 21))


def test_holes_of_transactions_in_the_middle_of_a_page(kafka, stack, topic):
    """Markers and aborted records are no records, and no reason to stop."""
    kafka.produce(topic, b"before")
    for number, commits in enumerate([True, False, True, False, False, True]):
        producer = kafka.producer(transactional_id=f"{topic}-{number}")
        producer.init_transactions(20)
        producer.begin_transaction()
        for each in range(5):
            producer.produce(
                topic, b"%s %d/%d" % (b"kept" if commits else b"gone", number, each), partition=0
            )
        assert producer.flush(20) == 0
        if commits:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    kafka.produce(topic, b"after")
    expected = ["before", *(f"kept {n}/{each}" for n in (0, 2, 5) for each in range(5)), "after"]
    end = kafka.end_offsets(topic)[0]
    assert end > len(expected)
    start = event_id(topic, dict.fromkeys(range(4), 0), kafka.topic_id(topic))
    with stack.client(topic, last_event_id=start) as client:
        client.wait_for(len(expected), 20)
        kafka.produce(topic, b"live")
        client.wait_for(len(expected) + 1, 20)
        assert [event.data for event in client.records] == [*expected, "live"]
    assert [event.data for event in bounded(stack, topic, start)] == [*expected, "live"]


def test_holes_of_compaction_in_the_middle_of_a_page(kafka, stack):
    """What compaction has left is what there is; nobody is told of a gap that is none."""
    topic = kafka.create_topic(
        partitions=1,
        config={"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"},
    )
    producer, began = kafka.producer(), int(time.time() * 1000) - 10_000
    for number in range(60):
        value, key = b"%d of turn %d" % (number % 10, number // 10), b"%d" % (number % 10)
        # A segment ends when its records' times are far enough apart, and what has ended is compacted.
        producer.produce(topic, value, key, partition=0, timestamp=began + number // 10 * 1000)
        assert producer.flush(20) == 0
    until(lambda: len(kafka.read_all(topic)) < 60, 30, "Kafka has compacted the log")
    left = kafka.read_all(topic)
    start = event_id(topic, {0: 0}, kafka.topic_id(topic))
    events = bounded(stack, topic, start)
    now = {offset: value.decode() for _partition, offset, value in left}
    got = {positions_of(event.id)[0] - 1: event.data for event in events}
    assert now.items() <= got.items()  # it may have gone on compacting in between
    assert list(got) == sorted(got)
    assert all(value == f"{offset % 10} of turn {offset // 10}" for offset, value in got.items())
