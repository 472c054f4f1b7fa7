"""`manage.py relay` as a process: how it starts, ends, shares its name, and what it never publishes."""

import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.acceptance.crowd import Crowd, positions
from tests.acceptance.sink import Sink
from tests.harness.check import NumberedWriter
from tests.harness.kafka import KafkaBroker
from tests.harness.sse import EventSourceClient
from tests.harness.stack import Options, Stack
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

END = 5.0  # seconds from the signal to the end
KILL = 2.0  # seconds from the second signal to the end
NEW_TOPIC = 10.0  # seconds from a topic's first record to its client
MB = 1_000_000


@pytest.fixture
def sink():
    """Return a publish endpoint in the place of a proxy."""
    with Sink() as running:
        yield running


@pytest.fixture
def alone(tmp_path, sink):
    """Return a function that prepares a relay that publishes to the sink, in a new group unless told one."""
    made = []

    def make(broker, **env):
        stack = Stack(broker, tmp_path / uuid.uuid4().hex, Options(relay_env={"GRIP_URL": sink.url, **env}))
        made.append(stack)
        return stack, stack.relays[0]

    yield make
    for stack in made:
        stack.close()


def write_and_wait(kafka, stack, sink, topic, text):
    """Write a record and wait until it has been published and committed."""
    kafka.produce(topic, text.encode())
    until(lambda: text in sink.contents(topic), 15, f"{text} is published\n{stack.relays[0].tail()}")
    until(lambda: kafka.has_committed_all(stack.group, topic), 5, "its position is committed")


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_an_idle_relay(kafka, topic, alone, sink, number):
    """Exit code 0, quickly, and the last position is committed."""
    stack, relay = alone(kafka)
    relay.start()
    write_and_wait(kafka, stack, sink, topic, "idle")
    relay.signal(number)
    assert relay.wait(END) == 0
    assert "Traceback" not in relay.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load_commits_what_was_published(kafka, stack, number):
    """What clients have got and what the group has committed are the same, and nobody waits for the end."""
    chain, topic = stack, kafka.create_topic()
    (relay,) = chain.relays
    with Crowd(chain, topic, clients=1, rate=1000) as crowd:
        relay.signal(number)
        assert relay.wait(END) == 0
        committed = kafka.committed(chain.group, topic)
        (client,) = crowd.clients
        until(
            lambda: all(positions(client).get(p, 0) >= at for p, at in committed.items()),
            40,
            lambda: f"{committed} arrives; {positions(client)}",
        )
        assert positions(client) == committed
        relay.start()
        crowd.finish()
    assert crowd.connections() == {1}


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
def test_signal_ends_a_relay_whose_proxy_is_away(kafka, topic, alone, sink, number, hangs):
    """Whether the proxy's port is closed or its answer never comes: in time, and without a position for what it has."""
    stack, relay = alone(kafka, **({} if hangs else {"GRIP_URL": "http://127.0.0.1:1"}))
    relay.start()
    sink.hang()
    kafka.produce(topic, b"x")
    if hangs:
        assert sink.waiting.acquire(timeout=15)
    else:
        relay.wait_log("Proxy does not accept items", 15)
    relay.signal(number)
    assert relay.wait(END) == 0
    assert kafka.committed(stack.group, topic)[0] == 0


def test_second_signal_kills(kafka, topic, alone, sink):
    """Who does not want to wait for the publish in flight signals again."""
    _, relay = alone(kafka)
    relay.start()
    sink.hang()
    kafka.produce(topic, b"x")
    assert sink.waiting.acquire(timeout=15)
    relay.signal(signal.SIGTERM)
    caught = Path(f"/proc/{relay.pid}/status")
    until(lambda: not _catches(caught, signal.SIGTERM), 5, "the first signal is taken")
    relay.signal(signal.SIGTERM)
    assert relay.wait(KILL) == -signal.SIGTERM
    assert "Traceback" not in relay.log()


def _catches(status, number):
    """Say whether the process has a handler for the signal, from /proc."""
    lines = status.read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_signal_ends_a_relay_whose_kafka_is_away(tmp_path, alone, sink, how):
    """Whether the broker is gone or hangs; and whether it was ever there."""
    with KafkaBroker(tmp_path / "kafka") as kafka:
        topic = kafka.create_topic()
        pairs = [alone(kafka) for _ in range(2)]
        for _, relay in pairs:
            relay.start()
            relay.wait_log("Reading", 20)
        kafka.produce(topic, b"before")
        for stack, _ in pairs:
            until(lambda stack=stack: kafka.has_committed_all(stack.group, topic), 20, "it is published")
        assert "before" in sink.contents(topic)
        getattr(kafka, how)()
        for number, (_, relay) in zip((signal.SIGTERM, signal.SIGINT), pairs, strict=True):
            if how == "kill":
                relay.wait_log("Kafka cannot be reached", 15)
            relay.signal(number)
            assert relay.wait(END) == 0
        kafka.kill()
        relay.start(wait=False)
        relay.wait_log("Kafka cannot be reached", 15)
        relay.signal(signal.SIGTERM)
        assert relay.wait(END) == 0


# --- the start ----------------------------------------------------------------------------------------------------


def test_new_group_does_not_publish_history_and_a_restart_leaves_nothing_out(kafka, topic, alone, sink):
    """The first start begins with what is written from then on; a later one with what was written meanwhile."""
    kafka.produce(topic, *[b"history"] * 100)
    stack, relay = alone(kafka)
    relay.start()
    write_and_wait(kafka, stack, sink, topic, "after the first start")
    assert relay.terminate(END) == 0
    kafka.produce(topic, b"while it was down")
    later = kafka.create_topic()
    kafka.produce(later, b"first of a new topic")
    relay.start()
    until(lambda: "while it was down" in sink.contents(topic), 15, "the gap is published")
    until(lambda: "first of a new topic" in sink.contents(later), 15, "the new topic is published")
    assert "history" not in sink.contents(topic)
    kafka.delete_topic(later)


def test_new_topic_is_published_from_its_first_record_on(kafka, stack):
    """Within 10 s from its first record, a topic that appeared while the relay runs."""
    name = f"new-{uuid.uuid4().hex[:12]}"
    with EventSourceClient(stack.url(f"/events/{name}/")) as client:
        client.wait_open()
        kafka.create_topic(name, partitions=1)
        began = time.monotonic()
        kafka.produce(name, b"0", b"1", b"2")
        client.wait_for(3, NEW_TOPIC + 10)
        seconds = time.monotonic() - began
    assert [event.data for event in client.records] == ["0", "1", "2"]
    assert seconds < NEW_TOPIC
    kafka.delete_topic(name)


def test_internal_topics_are_not_published(kafka, topic, alone, sink):
    """Neither Kafka's own topics nor those of its companions, whatever is written to them."""
    names = [kafka.create_topic(name, partitions=1) for name in ("_schemas", "_confluent-metrics")]
    stack, relay = alone(kafka)
    relay.start()
    for name in names:
        kafka.produce(name, b"secret")
    write_and_wait(kafka, stack, sink, topic, "public")  # its commit is a record of __consumer_offsets
    write_and_wait(kafka, stack, sink, topic, "again")
    assert {channel for channel in sink.channels() if channel.startswith("_")} == set()
    for name in names:
        kafka.delete_topic(name)


# --- its name, its size -------------------------------------------------------------------------------------------


def test_relay_whose_name_is_taken_by_another_ends_with_one_line(kafka, topic, alone, sink):
    """Of two relays with one RELAY_INSTANCE_ID the first is told, and the other one works."""
    stack, first = alone(kafka, RELAY_INSTANCE_ID="twice")
    first.start()
    write_and_wait(kafka, stack, sink, topic, "by the first")
    said = len(first.log().splitlines())
    stack.relay_ready = lambda *_: True  # the group has one member, however many run
    second = stack.add_relay()
    assert first.wait(15) > 0
    lines = first.log().splitlines()[said:]
    assert len(lines) == 1, lines
    assert "RELAY_INSTANCE_ID" in lines[0]
    assert second.alive
    write_and_wait(kafka, stack, sink, topic, "by the second")
    assert second.terminate(END) == 0


def test_memory_stays_bounded_while_many_records_pass(kafka, topic, alone, sink):
    """300,000 records cost the relay less than 100 MB, though they come faster than it can publish them."""
    stack, relay = alone(kafka)
    relay.start()
    write_and_wait(kafka, stack, sink, topic, "warm")
    before = peak = relay.rss()
    writer = NumberedWriter(kafka.bootstrap, topic)
    writer.write(300_000)

    def passed():
        nonlocal peak
        peak = max(peak, relay.rss())
        return kafka.has_committed_all(stack.group, topic)

    until(passed, 60, "300,000 records passed", 0.05)
    assert sink.contents(topic).count("\ndata: ") >= 300_000
    assert peak - before < 100 * MB, f"{(peak - before) / MB:.0f} MB"
