"""The relay against librdkafka's mock cluster and a stub proxy: what is written arrives, chained, and is committed.

What the mock cannot do is left to the acceptance tests: transactions, DeleteRecords, static membership, a broker that
goes away and comes back.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import uuid
from contextlib import ExitStack
from itertools import pairwise

import pytest

from kafkasse.exceptions import KafkaUnavailableError
from relay.audience import Everybody
from relay.publisher import HTTPPublisher
from relay.runner import Runner
from relay.source import Source
from tests.fakes import ListedSubscriptions, StubProxy, channel_of, down, seconds_of, tag_of
from tests.harness.kafka_admin import quiet
from tests.harness.mock_kafka import MockKafka
from tests.harness.wait import until

pytestmark = pytest.mark.integration

LIVELY = {
    "session.timeout.ms": 2000,
    "heartbeat.interval.ms": 100,
    "topic.metadata.refresh.interval.ms": 100,
}
PARTITIONS = range(4)  # what the mock gives each topic
SOON = 25.0  # the machine may be busy, and the mock takes its time over a group whose members change


class Relay:
    """A relay in a thread of this process: its real source, runner and publisher."""

    def __init__(self, kafka, proxy, group, instance="one", pattern=".*", subscriptions=None):
        """Prepare; `start` lets it run."""
        self.kafka, self.group = kafka, group
        config = {"bootstrap.servers": kafka.bootstrap, "group.id": group, **LIVELY}
        self.stopping = threading.Event()
        self.source = Source(config, instance, pattern, self.stopping)
        publisher = HTTPPublisher([{"control_uri": proxy.url}], 2)
        self.runner = Runner(self.source, publisher, self.stopping, "", subscriptions or Everybody())
        self.thread = threading.Thread(target=self._run, name=f"relay {instance}")
        self.error = None

    def _run(self):
        try:
            self.runner.run()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def start(self):
        """Run, and wait until it reads some partition."""
        self.thread.start()
        until(lambda: self.partitions, SOON, "the relay has partitions")
        return self

    @property
    def partitions(self):
        """What it reads."""
        return sorted(self.source._positions)  # noqa: SLF001 - there is no public view of it

    def stop(self):
        """Stop as a signal does, and wait for the end."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(SOON)
        assert not self.thread.is_alive()
        self.runner.publisher.close()
        assert self.error is None


@pytest.fixture
def proxy():
    """Return a stub proxy of the test's own."""
    with StubProxy() as running:
        yield running


@pytest.fixture
def group():
    """Return the name of a new group."""
    return f"g-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def make_relay(mock_kafka, proxy, group):
    """Return a function that prepares a relay of this test's group; all are stopped with the test."""
    with ExitStack() as made:

        def make(instance="one", **options):
            relay = Relay(mock_kafka, proxy, group, instance, **options)
            made.callback(relay.stop)
            return relay

        yield make


def numbers(first, last):
    """Return numbered values."""
    return [f"n{number}".encode() for number in range(first, last)]


def arrived(proxy, channel, *values, whole=True, gaps=()):
    """Wait until a channel has carried just these values, in this order, in a chain without a gap.

    And the channel of its whole topic, too, unless that was not one relay's all the time, or not listened to.  `gaps` are
    those that the topic's chain is known to have.
    """
    topic, partition = channel.split(":")
    places = [(channel, None), (f"{topic}:all", int(partition))][: 1 + whole]
    wanted = [[value.decode() for value in values]] * len(places)

    def found():
        chains = proxy.chains()
        return [chains.values(*place) for place in places]

    until(lambda: found() == wanted, SOON, lambda: f"{places} have {len(values)} values; they have {found()}")
    assert [each for each in proxy.chains().broken if each[0].split(":")[0] == topic] == list(gaps)


def committed(kafka, group, topic, expected):
    """Wait until the group's positions are these."""
    until(
        lambda: kafka.committed(group, topic) == expected,
        SOON,
        lambda: f"{group} has committed {expected}, not {kafka.committed(group, topic)}",
    )


# --- One relay that several tests share ---------------------------------------------------------------------------


class Running:
    """A relay that was started when the topic `old` had three records already."""

    def __init__(self, stack):
        """Start it."""
        self.kafka, self.group = MockKafka(), "shared"
        stack.callback(self.kafka.close)
        self.kafka.create_topic("old")
        self.kafka.produce("old", *numbers(0, 3), partition=1)
        self.proxy = stack.enter_context(StubProxy())
        self.relay = Relay(self.kafka, self.proxy, self.group)
        stack.callback(self.relay.stop)
        self.relay.start()
        self.seeded = self.kafka.committed(self.group, "old")

    def new_topic(self):
        """Bring a topic into being under a name of its own."""
        return self.kafka.create_topic(f"t-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def running():
    """Return a relay in front of a mock cluster."""
    with ExitStack() as stack:
        yield Running(stack)


@pytest.fixture(scope="module")
def topic(running):
    """Return a topic that the relay reads, whose partition 0 has one record."""
    name = running.new_topic()
    running.kafka.produce(name, b"first")
    arrived(running.proxy, f"{name}:0", b"first")
    return name


def published(running, topic, *values, key=None, partition):
    """Write values to an unused partition and return their events, which both chains have alike."""
    channel, whole = f"{topic}:{partition}", f"{topic}:all"
    running.kafka.produce(topic, *values, partition=partition, key=key)

    def counts():
        chains = running.proxy.chains()
        return {len(chains.values(channel)), len(chains.values(whole, partition))}

    until(lambda: counts() == {len(values)}, SOON, f"{channel} and {whole} carry all")
    chains = running.proxy.chains()
    events = chains.events[channel]
    assert [event.data for event in events] == chains.values(whole, partition)
    return events


def test_new_group_starts_at_the_end_of_what_exists(running):
    """A first start does not publish history: what is committed is the end, before anything is read."""
    assert running.seeded == {0: 0, 1: 3, 2: 0, 3: 0}
    running.kafka.produce("old", b"n3", partition=1)
    arrived(running.proxy, "old:1", b"n3")
    chains = running.proxy.chains()
    assert (chains.first["old:1"], chains.last["old:1"]) == (3, 4)
    assert (chains.first["old:all"], chains.last["old:all"]) == ((0, 3, 0, 0), (0, 4, 0, 0))


def test_new_topic_is_published_from_its_first_record_and_told(running, topic):
    """What appears later is no history; its holds learn of the partitions by a hint."""
    chains = running.proxy.chains()
    assert chains.first[f"{topic}:0"] == 0
    assert chains.first[f"{topic}:all"] == (0, 0, 0, 0)
    assert chains.offsets(f"{topic}:0") == chains.offsets(f"{topic}:all", 0) == [0]
    assert (f"{topic}:~", "hint") in chains.actions


def test_hint_of_a_new_topic_comes_before_its_first_item(running, topic):
    """A hold that learns of a partition later has missed nothing, but has to be repaired."""
    items = [item["channel"] for request in running.proxy.accepted for item in request.items]
    first = min(items.index(f"{topic}:{tag_of(topic)}:{which}") for which in ("0", "all"))
    assert items.index(f"{topic}:~") < first


def test_what_was_published_is_committed(running, topic):
    """The views serve up to there, and a restart continues there."""
    committed(running.kafka, running.group, topic, {**running.kafka.committed(running.group, topic), 0: 1})


def test_values_of_every_kind_are_published_by_kind(running, topic):
    """Text as it is, other bytes as base64, a tombstone with its key."""
    values = ["zwei\nZeilen 😀".encode(), b"\xff\x00", b"", None]
    events = published(running, topic, *values, key=b"k", partition=1)
    assert [event.type for event in events] == ["message", "binary", "message", "tombstone"]
    assert events[0].data == "zwei\nZeilen 😀"
    assert base64.b64decode(events[1].data) == b"\xff\x00"
    assert events[2].data == ""
    assert json.loads(events[3].data) == {"key": "k"}


def test_internal_topics_are_never_published_nor_seeded(running, topic):
    """They belong to Kafka and its tools."""
    internal = ["__consumer_offsets", "__x", "_schemas", "_confluent-metrics"]
    for name in internal:
        running.kafka.create_topic(name)
        running.kafka.produce(name, b"secret")
    later = running.new_topic()
    running.kafka.produce(later, b"public")
    arrived(running.proxy, f"{later}:0", b"public")
    seen = {item["channel"].split(":")[0] for each in running.proxy.requests for item in each.items}
    assert seen.isdisjoint(internal)
    assert {name for name, _ in running.relay.partitions}.isdisjoint(internal)
    assert running.kafka.committed(running.group, "__x") == {}


def test_record_too_large_is_committed_before_its_clients_are_told(running, topic):
    """It reaches them through the log, which they may read up to the committed position."""
    seen, before = {}, running.proxy.chains().last[f"{topic}:all"]
    gap = {f"{topic}:{tag_of(topic)}:2", f"{topic}:{tag_of(topic)}:all"}

    def told():
        channels = [{item["channel"] for item in each.items} for each in running.proxy.accepted]
        if [gap, {f"{topic}:~"}] in map(list, pairwise(channels)):
            seen.update(running.kafka.committed(running.group, topic))
        return seen

    running.kafka.produce(topic, b"x" * 1_500_000, partition=2)
    until(told, SOON, "the clients of both chains are told")
    assert seen[2] == 1
    running.kafka.produce(topic, b"next", partition=2)
    behind = (*before[:2], 1, before[3])
    arrived(running.proxy, f"{topic}:2", b"next", gaps=[(f"{topic}:all", before, behind)])
    assert running.proxy.chains().first[f"{topic}:2"] == 1


def test_many_records_are_published_in_few_items_without_a_gap(running, topic):
    """Twenty thousand records, chunked."""
    values = [b"%05d" % number for number in range(20_000)]
    events = published(running, topic, *values, partition=3)
    assert [event.data.encode() for event in events] == values
    chains = running.proxy.chains()
    assert chains.offsets(f"{topic}:3") == chains.offsets(f"{topic}:all", 3) == list(range(20_000))
    assert f"{topic}:3" not in {channel for channel, _expected, _found in chains.broken}
    assert not chains.repeated
    for which in ("3", "all"):
        channel = f"{topic}:{tag_of(topic)}:{which}"
        items = [i for each in running.proxy.accepted for i in each.items if i["channel"] == channel]
        assert 0 < len(items) < 200
    committed(
        running.kafka, running.group, topic, {**running.kafka.committed(running.group, topic), 3: 20_000}
    )


def test_lag_is_what_is_left_to_read(running, topic):
    """Nothing, once everything has been published; asked in the relay's own thread, as the status line does."""
    found = []
    running.relay.runner.after_tick = lambda runner: found.append(runner.source.lag())
    until(lambda: found and found[-1] == 0, SOON, lambda: f"the relay has caught up: {found[-1:]}")


# --- Restarts -----------------------------------------------------------------------------------------------------


def test_restart_goes_on_at_the_committed_position_and_never_seeds(mock_kafka, proxy, make_relay, group):
    """What was not accepted before the stop, and what was written meanwhile, from the first record of new topics."""
    mock_kafka.create_topic("old")
    first = make_relay().start()
    mock_kafka.produce("old", *numbers(0, 5))
    arrived(proxy, "old:0", *numbers(0, 5))
    committed(mock_kafka, group, "old", {0: 5, 1: 0, 2: 0, 3: 0})
    with down(proxy):
        mock_kafka.produce("old", *numbers(5, 7))
        read_on(first)
        assert seconds_of(first.stop) < 5
        assert mock_kafka.committed(group, "old")[0] == 5
    mock_kafka.create_topic("new")
    mock_kafka.produce("new", *numbers(0, 3))
    mock_kafka.produce("old", *numbers(7, 9))
    make_relay().start()
    arrived(proxy, "old:0", *numbers(0, 9))
    arrived(proxy, "new:0", *numbers(0, 3))
    assert proxy.chains().repeated == 0
    assert proxy.chains().first["new:0"] == 0


def test_position_beyond_the_end_of_the_log_breaks_the_chain_and_goes_on_where_the_log_begins(
    mock_kafka, proxy, make_relay, group, caplog
):
    """A topic that was deleted and made again; its clients are told by the break."""
    mock_kafka.create_topic("t")
    mock_kafka.produce("t", *numbers(0, 3))
    commit(mock_kafka, group, "t", 1000)
    make_relay().start()
    arrived(proxy, "t:0", *numbers(0, 3))
    mock_kafka.produce("t", b"n3")
    arrived(proxy, "t:0", *numbers(0, 4))
    assert proxy.chains().first["t:0"] == 0
    assert "The log does not have the relay's position" in caplog.text


def commit(kafka, group, topic, position, tag=""):
    """Commit a position, and which topic of its name it is in, for a group without members."""
    from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415

    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, **quiet()})
    consumer.commit(offsets=[TopicPartition(topic, 0, position, tag)], asynchronous=False)
    consumer.close()


def test_start_on_an_empty_cluster_publishes_topics_of_the_pattern_from_their_first_record(
    mock_kafka, proxy, make_relay
):
    """As the views do, it takes whole names only: neither a part of one nor the rest of an alternative will do."""
    relay, started = make_relay(pattern="shop|bar"), threading.Event()
    start = relay.source.start
    relay.source.start = lambda: (start(), started.set())
    relay.thread.start()
    assert started.wait(SOON)
    for name in ("shop2", "my-shop", "bargain", "shop", "bar"):
        mock_kafka.create_topic(name)
        mock_kafka.produce(name, b"first")
    arrived(proxy, "shop:0", b"first")
    arrived(proxy, "bar:0", b"first")
    assert set(proxy.chains().events) == {"shop:0", "shop:all", "bar:0", "bar:all"}
    assert {name for name, _ in relay.partitions} == {"shop", "bar"}


# --- Several relays -----------------------------------------------------------------------------------------------


def test_two_relays_share_the_partitions(mock_kafka, proxy, make_relay):
    """Each record is published by one of them, across the hand-over, with no gap."""
    mock_kafka.create_topic("t")
    one = make_relay("one").start()
    written = dict.fromkeys(PARTITIONS, 0)

    def write(count):
        for partition in PARTITIONS:
            first = written[partition]
            mock_kafka.produce("t", *numbers(first, first + count), partition=partition)
            written[partition] += count

    write(5)
    two = make_relay("two").start()
    until(lambda: len(one.partitions) == len(two.partitions) == 2, SOON, "they share")
    assert set(one.partitions).isdisjoint(two.partitions)
    write(5)
    for partition in PARTITIONS:
        arrived(proxy, f"t:{partition}", *numbers(0, 10), whole=False)
    # It counts after the proxy has answered.
    until(lambda: two.runner.totals.records >= 10, SOON, "the second one has published its share")


# --- What nobody listens to ---------------------------------------------------------------------------------------


def test_partitions_that_nobody_listens_to_rest_and_wake_where_their_logs_end(
    mock_kafka, proxy, make_relay, group
):
    """Nothing of them is published, the committed positions go on; a first listener gets what is written from then on."""
    mock_kafka.create_topic("t")
    subscriptions = ListedSubscriptions()
    relay = make_relay(subscriptions=subscriptions).start()
    for first in (0, 5, 10):
        mock_kafka.produce("t", *numbers(first, first + 5), partition=0)
        committed(mock_kafka, group, "t", {0: first + 5, 1: 0, 2: 0, 3: 0})
    assert relay.runner.totals.unheard == 15
    assert proxy.chains().events == {}
    until(
        lambda: mock_kafka.resting(group, "t") == set(PARTITIONS),
        SOON,
        "a view knows to look for their ends by itself",
    )
    subscriptions.add(channel_of("t", 0))
    until(lambda: proxy.requests, SOON, "the listener is told how far the partition is")
    until(
        lambda: mock_kafka.resting(group, "t") == {1, 2, 3}, SOON, "it is known that this one rests no more"
    )
    mock_kafka.produce("t", *numbers(15, 20), partition=0)
    arrived(proxy, "t:0", *numbers(15, 20), whole=False)
    assert "t:all" not in proxy.chains().events


def test_partitions_that_rested_are_read_after_they_were_another_relays(mock_kafka, proxy, make_relay, group):
    """Librdkafka keeps the pause of a partition that is taken away."""
    mock_kafka.create_topic("t")
    subscriptions = ListedSubscriptions()
    one = make_relay("one", subscriptions=subscriptions).start()
    until(lambda: len(one.partitions) == 4, SOON, "it has all")
    for partition in PARTITIONS:
        mock_kafka.produce("t", b"unheard", partition=partition)
    committed(mock_kafka, group, "t", dict.fromkeys(PARTITIONS, 1))
    two = make_relay("two", subscriptions=subscriptions).start()
    until(lambda: len(one.partitions) == len(two.partitions) == 2, SOON, "they share")
    two.stop()
    until(lambda: len(one.partitions) == 4, SOON, "it has all again")
    for partition in PARTITIONS:
        subscriptions.channels.add(channel_of("t", partition))
    subscriptions.known = False
    for partition in PARTITIONS:
        mock_kafka.produce("t", b"heard", partition=partition)
        arrived(proxy, f"t:{partition}", b"heard")


# --- A proxy that is away -----------------------------------------------------------------------------------------


def test_outage_of_the_proxy_loses_nothing_and_breaks_no_chain(mock_kafka, proxy, make_relay, group, caplog):
    """Three seconds without it, records coming in all the time; said once, and nothing is committed meanwhile.

    The group goes on while the relay waits: what it is given then is not read before the proxy is back.
    """
    caplog.set_level(logging.INFO)
    mock_kafka.create_topic("t")
    relay = make_relay().start()
    with down(proxy):
        mock_kafka.create_topic("new")
        for partition in PARTITIONS:
            mock_kafka.produce("new", *numbers(0, 50), partition=partition)
        count, ends = 0, time.monotonic() + 3
        while time.monotonic() < ends or ("new", 0) not in relay.partitions:
            assert time.monotonic() < ends + SOON
            mock_kafka.produce("t", *numbers(count, count + 10))
            count += 10
            assert mock_kafka.committed(group, "t")[0] == 0
        read_on(relay)
    arrived(proxy, "t:0", *numbers(0, count))
    committed(mock_kafka, group, "t", {0: count, 1: 0, 2: 0, 3: 0})
    assert proxy.chains().repeated == 0
    assert caplog.text.count("Proxy does not accept items") == 1
    assert caplog.text.count("Proxy accepts items again") == 1
    for partition in PARTITIONS:
        arrived(proxy, f"new:{partition}", *numbers(0, 50))


def read_on(relay):
    """Wait until the relay has tried the proxy a few times more."""
    tried = []
    publish = relay.runner.publisher.publish
    relay.runner.publisher.publish = lambda body: (tried.append(1), publish(body))
    until(lambda: len(tried) >= 3, SOON, "the relay tries on")
    relay.runner.publisher.publish = publish


# --- Kafka away ---------------------------------------------------------------------------------------------------


def test_start_without_kafka_says_so_in_time():
    """The runner tries on, and looks in between whether it has been stopped: within 5 s."""
    source = Source({"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}, "one", ".*", threading.Event())

    def start():
        with pytest.raises(KafkaUnavailableError, match="Kafka cannot be reached"):
            source.start()

    try:
        assert seconds_of(start) < 4
    finally:
        source.close()


def test_group_that_has_a_position_in_an_earlier_topic_of_the_name_is_not_new(
    mock_kafka, proxy, make_relay, group
):
    """A restart never begins at the end; and what it had read of the earlier topic, it has not of this one."""
    mock_kafka.create_topic("t")
    mock_kafka.produce("t", *numbers(0, 3))
    commit(mock_kafka, group, "t", 2, "1earliest")
    make_relay().start()
    arrived(proxy, "t:0", *numbers(0, 3))
