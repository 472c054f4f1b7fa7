"""What the relay makes of what librdkafka rarely says; with a consumer that says it.

How it works with one that reads and commits is in tests/integration/test_relay_source.py.
"""

import logging
import threading
from collections import defaultdict
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafkasse import renewal
from kafkasse.exceptions import FencedError
from kafkasse.offsets import EARLIEST, LATEST
from kafkasse.renewal import PATIENCE
from relay import chunks, connection, consumer_config, membership, resting, source
from relay.connection import BACK_SECONDS, DOUBT_SECONDS
from relay.membership import ASSIGNMENT_SECONDS
from relay.positions import HINTS
from relay.source import Source
from tests.harness.wait import until

ORDERS = ("orders", 0)


class Message:
    """A record, or an error, as librdkafka hands it out."""

    def __init__(self, offset=0, value=b"v", *, error=None, partition=0, topic="orders"):
        """`error` is a code."""
        self._offset, self._value, self._partition, self._topic = offset, value, partition, topic
        self._error = None if error is None else KafkaError(error, f"error {error}")

    def offset(self):
        """Return the place in the log."""
        return self._offset

    def value(self):
        """Return the value."""
        return self._value

    def partition(self):
        """Return the partition."""
        return self._partition

    def topic(self):
        """Return the topic."""
        return self._topic

    def key(self):
        """Return no key."""
        return

    def headers(self):
        """Return no headers."""
        return

    def error(self):
        """Return what stands in a record's place."""
        return self._error


class FakeConsumer:
    """Hands out `messages`, one for each poll, and notes what is done; `committed_answers` and `ends` may be errors."""

    def __init__(self, config):
        """Nothing is assigned."""
        self.config = config
        self.messages, self.calls = [], []
        self.committed_answers, self.begin, self.end = [], 0, 0

    def list_topics(self, *_args, **_kwargs):
        """Return a mock cluster's metadata, in which every topic exists."""
        topics = defaultdict(lambda: SimpleNamespace(error=None, partitions=[0]))
        return SimpleNamespace(cluster_id="mockCluster", topics=topics)

    def subscribe(self, _topics, on_assign, on_revoke, on_lost):
        """Keep the callbacks."""
        self.calls.append("subscribe")
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def close(self):
        """Note it."""
        self.calls.append("close")

    def unsubscribe(self):
        """Note it."""
        self.calls.append("unsubscribe")

    def poll(self, _timeout):
        """Return the next message."""
        return self.messages.pop(0) if self.messages else None

    def consume(self, number, _timeout):
        """Return what is left."""
        taken, self.messages = self.messages[:number], self.messages[number:]
        return taken

    def committed(self, partitions, _timeout):
        """Return the next of the answers, or 5."""
        answer = self.committed_answers.pop(0) if self.committed_answers else 5
        if isinstance(answer, KafkaException):
            raise answer
        return [TopicPartition(each.topic, each.partition, answer) for each in partitions]

    def commit(self, offsets, asynchronous):
        """Keep what is committed."""
        assert not asynchronous
        self.offsets = offsets

    def offsets_for_times(self, partitions, _timeout):
        """Return where every log begins or ends."""
        places = {EARLIEST: self.begin, LATEST: self.end}
        for found in (places[each.offset] for each in partitions):
            if isinstance(found, KafkaException):
                raise found
        return [TopicPartition(each.topic, each.partition, places[each.offset]) for each in partitions]

    def get_watermark_offsets(self, _partition, *, cached):
        """Return where every log began and ended when it was fetched from last."""
        assert cached
        return self.begin, self.end

    def incremental_assign(self, partitions):
        """Note from where."""
        self.calls += [("assign", each.topic, each.partition, each.offset) for each in partitions]

    def pause(self, partitions):
        """Note it."""
        self.calls += [("pause", each.topic, each.partition) for each in partitions]

    def resume(self, partitions):
        """Note it."""
        self.calls += [("resume", each.topic, each.partition) for each in partitions]

    def incremental_unassign(self, partitions):
        """Note it."""
        self.calls += [("unassign", each.topic, each.partition) for each in partitions]


@pytest.fixture
def consumer(monkeypatch):
    """Return the consumer that a source made from now on uses."""
    made = FakeConsumer({})
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: made)
    monkeypatch.setattr(resting, "Consumer", lambda _config: made)
    return made


@pytest.fixture
def reading(consumer):
    """Return a source that reads partition 0 of `orders` from position 5 on."""
    found = Source({"group.id": "g"}, "me", ".*", threading.Event())
    found._membership._new_session = False  # noqa: SLF001 - as after its second subscription
    found._membership.begin()  # noqa: SLF001
    consumer.on_assign(consumer, [TopicPartition(*ORDERS)])
    consumer.calls.clear()
    return found


def warnings(caplog):
    """Return what was logged as a warning or worse."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- errors in the place of records ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own name
    ],
)
def test_read_of_an_error_says_it_once_and_goes_on_with_the_other_partitions(reading, consumer, caplog, code):
    """One partition without a leader, or one topic that may not be read, is no reason to stop."""
    for offset in (5, 6):
        consumer.messages = [Message(error=code, partition=1), Message(offset)]
        (run,) = reading.read(0.1)
        assert [record[0] for record in run.records] == [offset]
    assert warnings(caplog) == [f"Kafka says: error {code}"]


def fenced():
    """Return what librdkafka hands out when the group has a newer member of this name."""
    error = Message(error=KafkaError._FATAL)  # noqa: SLF001
    error._error = KafkaError(KafkaError._FATAL, "member is fenced by another")  # noqa: SLF001
    return error


def test_read_of_another_relay_with_this_name_ends_it(reading, consumer):
    """The group has a newer member of this name."""
    consumer.messages = [fenced()]
    reading.read(0.1)
    reading.wait(0)
    with pytest.raises(FencedError):
        reading.read(0.1)


@pytest.mark.parametrize(("begin", "end"), [(90, 95), (0, 4)], ids=["before the log", "behind it"])
def test_read_of_a_position_that_the_log_has_not_goes_on_where_it_begins(
    reading, consumer, caplog, monkeypatch, begin, end
):
    """What was read before belongs to a log that is no more; what comes next follows nothing."""
    consumer.begin, consumer.end = begin, end
    consumer.messages = [Message(5), Message(error=KafkaError._AUTO_OFFSET_RESET)]  # noqa: SLF001
    doubted = []
    monkeypatch.setattr(reading._tags, "doubt", lambda: doubted.append(True))  # noqa: SLF001
    assert reading.read(0.1) == []
    assert doubted, "it may be another topic"
    assert consumer.calls == [("unassign", *ORDERS), ("assign", *ORDERS, begin)]
    assert len(warnings(caplog)) == 1
    consumer.messages = [Message(begin)]
    (run,) = reading.read(0.1)
    assert (run.position, run.first) == (begin, True)


@pytest.mark.parametrize(("begin", "end"), [(5, 95), (0, 5)], ids=["first", "last"])
def test_read_of_a_position_that_the_log_has_stays(reading, consumer, caplog, begin, end):
    """What librdkafka says may be of an assignment that is no more; the whole log would be published once more."""
    consumer.begin, consumer.end = begin, end
    consumer.messages = [Message(error=KafkaError._AUTO_OFFSET_RESET)]  # noqa: SLF001
    assert reading.read(0.1) == []
    assert consumer.calls == [("unassign", *ORDERS), ("assign", *ORDERS, 5)]
    assert warnings(caplog) == []


def test_read_of_a_position_that_the_log_has_not_and_no_leader_stays_and_tries_again(
    reading, consumer, caplog
):
    """Where the log begins cannot be found out without one; nothing is left out meanwhile."""
    consumer.begin = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "no leader"))
    consumer.messages = [Message(error=KafkaError._AUTO_OFFSET_RESET)]  # noqa: SLF001
    assert reading.read(0.1) == []
    assert consumer.calls == [("unassign", *ORDERS), ("assign", *ORDERS, 5)]
    assert warnings(caplog) == ["Kafka says: no leader"]


# --- assignment -----------------------------------------------------------------------------------------------------


def test_assign_waits_for_a_coordinator_that_cannot_answer_yet(consumer, caplog):
    """To begin anywhere else would lose or repeat records."""
    found = Source({"group.id": "g"}, "me", ".*", threading.Event())
    found._membership.begin()  # noqa: SLF001
    consumer.committed_answers = [
        KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "later")),
        7,
    ]
    consumer.on_assign(consumer, [TopicPartition(*ORDERS)])
    assert consumer.calls[-1] == ("assign", *ORDERS, 7)
    assert len(warnings(caplog)) == 1


def test_only_the_first_run_after_an_assignment_is_a_first_one(reading, consumer):
    """The proxy is told to forget before it, and before no other."""
    firsts = []
    for offset in (5, 6):
        consumer.messages = [Message(offset)]
        firsts += [run.first for run in reading.read(0.1)]
    consumer.on_lost(consumer, [TopicPartition(*ORDERS)])
    consumer.committed_answers = [7]
    consumer.on_assign(consumer, [TopicPartition(*ORDERS)])
    consumer.messages = [Message(7)]
    firsts += [run.first for run in reading.read(0.1)]
    assert firsts == [True, False, True]


def test_relay_without_partitions_looks_again_after_a_while_and_only_once(consumer, monkeypatch):
    """There may be more relays than partitions when it starts; what appears later is for it."""
    found = Source({"group.id": "g"}, "me", ".*", threading.Event())
    monkeypatch.setattr(source, "seed", lambda _consumer, _pattern: False)
    now = 1000.0
    monkeypatch.setattr(membership.time, "monotonic", lambda: now)
    found.start()
    found.read(0.1)
    assert consumer.calls == ["subscribe"]
    now += ASSIGNMENT_SECONDS + 1
    found.read(0.1)
    found.read(0.1)
    assert consumer.calls == ["subscribe", "unsubscribe", "subscribe"]


# --- partitions that nobody listens to -------------------------------------------------------------------------------


def grown(reading):
    """Return the first items that tell how far resting partitions have come."""

    def told():
        return [item for item in reading.follow() if item.records]

    return until(told, 5, "the end of the log is known")


def committed(consumer):
    """Return what the last commit said."""
    return {(each.topic, each.partition): (each.offset, each.metadata) for each in consumer.offsets}


def test_follow_says_which_partitions_begin_to_rest_and_which_no_longer_do(reading, consumer):
    """A view looks for the end of those that rest by itself: it is told with the position, once."""
    reading.rest({ORDERS})
    consumer.end = 5
    reading.commit(reading.follow(), wait=True)
    assert committed(consumer) == {ORDERS: (5, reading.tag("orders") + "~*")}
    assert reading.follow() == []
    reading.wake({ORDERS})
    reading.commit(reading.follow(), wait=True)
    assert committed(consumer) == {ORDERS: (5, reading.tag("orders") + "*")}
    assert reading.follow() == []


def test_rest_stops_fetching_and_follow_goes_on_where_the_log_ends(reading, consumer):
    """The position stays that of a relay that reads."""
    reading.rest({ORDERS, ("users", 0)})
    assert consumer.calls == [("pause", *ORDERS)]
    consumer.end = 90
    (item,) = grown(reading)
    assert (item.place, item.positions, item.records, item.body) == (ORDERS, {ORDERS: 90}, 85, None)
    assert reading.positions() == {ORDERS: 90}


def test_follow_of_a_log_that_has_not_grown_or_is_shorter_says_nothing(reading, consumer):
    """Nothing is committed that has been committed, and a position never goes back."""
    looks = []
    consumer.offsets_for_times = lambda partitions, _timeout: (
        looks.append(1),
        [TopicPartition(each.topic, each.partition, 6 - len(looks)) for each in partitions],
    )[1]
    reading.rest({ORDERS})
    reading.follow()
    until(lambda: reading.follow() or len(looks) == 2, 5, "two looks")
    assert reading.positions() == {ORDERS: 5}


def test_follow_where_kafka_does_not_answer_looks_again(reading, consumer):
    """It may be away, or the partition without a leader."""
    consumer.end = KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
    reading.rest({ORDERS})
    until(lambda: (reading.follow(), reading._resting._asked)[1], 5, "a look")  # noqa: SLF001
    until(lambda: (reading.follow(), not reading._resting._asked)[1], 5, "its failure")  # noqa: SLF001
    consumer.end = 6
    assert [item.positions for item in grown(reading)] == [{ORDERS: 6}]


def test_wake_reads_on_where_follow_has_come_to_and_begins_anew(reading, consumer):
    """The proxy knows of no item since, so the first run is a first one."""
    reading.rest({ORDERS})
    consumer.end = 90
    grown(reading)
    consumer.calls.clear()
    reading.wake({ORDERS, ("users", 0)})
    assert consumer.calls == [("resume", *ORDERS), ("unassign", *ORDERS), ("assign", *ORDERS, 90)]
    consumer.messages = [Message(90)]
    (run,) = reading.read(0.1)
    assert (run.position, run.first) == (90, True)
    reading.wake({ORDERS})
    assert consumer.calls[3:] == []


def test_wait_does_not_wake_what_rests(reading, consumer):
    """A proxy that is away comes back to what it left."""
    consumer.on_assign(consumer, [TopicPartition("users", 0)])
    reading.rest({ORDERS})
    consumer.calls.clear()
    reading.wait(0)
    assert consumer.calls[-1:] == [("resume", "users", 0)]


def test_partition_that_is_taken_away_while_it_rests_is_read_when_it_comes_back(reading, consumer):
    """Another relay may have been told otherwise."""
    reading.rest({ORDERS})
    consumer.on_lost(consumer, [TopicPartition(*ORDERS)])
    assert consumer.calls[-2:] == [("resume", *ORDERS), ("unassign", *ORDERS)]
    consumer.end = 90
    assert reading.follow() == []
    consumer.on_assign(consumer, [TopicPartition(*ORDERS)])
    assert ORDERS not in reading._resting  # noqa: SLF001
    assert reading.positions() == {ORDERS: 5}


def test_follow_by_a_client_that_gets_no_answers_any_more_goes_on_with_another(
    reading, consumer, monkeypatch
):
    """It has lost its brokers, and would never find them again."""
    made, given_up = [], []
    monkeypatch.setattr(resting, "Consumer", lambda _config: made.append(consumer) or consumer)
    monkeypatch.setattr(resting, "give_up", given_up.append)
    monkeypatch.setattr(renewal, "PATIENCE", 0)
    reading.rest({ORDERS})
    consumer.end = 6
    grown(reading)
    consumer.end = KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
    until(lambda: (reading.follow(), given_up)[1], 5, "it is given up")
    consumer.end = 7
    assert [item.positions for item in grown(reading)] == [{ORDERS: 7}]
    assert (given_up, len(made)) == ([consumer], 2)


# --- topics as a whole -----------------------------------------------------------------------------------------------


def test_topic_that_becomes_a_whole_is_said_to_be_one_and_then_told_to_its_holds(
    reading, consumer, monkeypatch
):
    """In this order: a hold that asks is held by what is committed."""
    now = 1000.0
    monkeypatch.setattr(source.time, "monotonic", lambda: now)
    assert (set(reading.whole()), reading.vector("orders")) == ({"orders"}, [5])
    now += 100
    assert reading.appeared() == set()
    reading.commit(reading.follow(), wait=True)
    assert committed(consumer) == {ORDERS: (5, reading.tag("orders") + "*")}
    told = []
    for _ in range(50):
        now += 0.1
        told += reading.appeared()
    assert told == ["orders"] * len(HINTS)
    assert reading.follow() == []


def test_topic_that_is_none_of_this_relays_as_a_whole_any_more_is_said_to_be_none(
    reading, consumer, monkeypatch
):
    """By who keeps a part of it."""
    monkeypatch.setitem(reading._tags.partitions, "orders", 2)  # noqa: SLF001
    reading._tags.learn = lambda _names: None  # noqa: SLF001
    consumer.on_assign(consumer, [TopicPartition("orders", 1)])
    reading.follow()
    assert (set(reading.whole()), reading.vector("orders")) == ({"orders"}, [5, 5])
    consumer.on_lost(consumer, [TopicPartition(*ORDERS)])
    reading.commit(reading.follow(), wait=True)
    assert set(reading.whole()) == set()
    assert committed(consumer) == {("orders", 1): (5, reading.tag("orders"))}


def test_source_that_does_not_join_says_nothing_of_whole_topics(consumer):
    """Its proxies do not tell who listens: by both chains it would publish everything twice."""
    found = Source({"group.id": "g"}, "me", ".*", threading.Event(), joins=False)
    found._membership.begin()  # noqa: SLF001
    consumer.on_assign(consumer, [TopicPartition(*ORDERS)])
    assert (set(found.whole()), found.follow()) == (set(), [])
    found.commit([chunks.unheard(ORDERS, "tag", 6, 1)], wait=True)
    assert committed(consumer) == {ORDERS: (6, "tag")}


# --- consumers that have lost their brokers ---------------------------------------------------------------------------


class Clock:
    """A time that the test moves on."""

    now = 1000.0

    def monotonic(self):
        """Return it."""
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Return the clock by which a source made from now on asks whether Kafka is there."""
    made = Clock()
    monkeypatch.setattr(connection, "time", made)
    return made


def no_brokers(*_args, **_kwargs):
    """Answer as a client without brokers does."""
    raise KafkaException(KafkaError(KafkaError._TRANSPORT))  # noqa: SLF001


def lose_brokers(reading, consumer, *, told):
    """Have the consumer lose its brokers, and then its partitions; `told` is whether it says the one, too."""
    consumer.list_topics = no_brokers
    if told:
        reading._connection.take(KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001
    consumer.on_lost(consumer, [TopicPartition(*ORDERS)])


@pytest.mark.parametrize("told", [True, False], ids=["that says so", "that says nothing"])
def test_consumer_that_gets_no_answers_any_more_is_replaced(clock, reading, consumer, monkeypatch, told):
    """Else it would never read anything again, though Kafka is back."""
    reading.read(0.1)
    lose_brokers(reading, consumer, told=told)
    new = FakeConsumer({})
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: new)
    clock.now += DOUBT_SECONDS
    reading.read(0.1)
    clock.now += PATIENCE - 0.1
    reading.read(0.1)
    assert new.calls == []
    clock.now += 0.1
    reading.read(0.1)
    assert new.calls == ["subscribe"]
    until(lambda: "close" in consumer.calls, 5, "the old one ends")
    new.on_assign(new, [TopicPartition(*ORDERS)])
    new.messages = [Message(5)]
    (run,) = reading.read(0.1)
    assert (run.position, run.first) == (5, True)


def test_consumer_that_is_replaced_is_so_once_for_each_time_that_kafka_is_away(
    clock, reading, consumer, monkeypatch, caplog
):
    """A new one that never had an answer is as good as another; what is logged is that Kafka is away, and back."""
    caplog.set_level(logging.INFO)
    reading._connection.started()  # noqa: SLF001
    reading.read(0.1)
    lose_brokers(reading, consumer, told=True)
    new = FakeConsumer({})
    new.list_topics = no_brokers
    made = []
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: made.append(new) or new)
    for _ in range(100):
        clock.now += 1
        reading.read(0.1)
    assert len(made) == 1
    del new.list_topics
    reading.read(0.1)
    said = [record.getMessage() for record in caplog.records if record.name != "relay.source"]
    assert said == ["Kafka cannot be reached, trying on", "Kafka is back"]


def test_news_that_kafka_is_away_which_are_older_than_its_answer_are_not_told(
    clock, reading, consumer, caplog
):
    """The callback may come after the answer to a question, though it was before it that there was none."""
    caplog.set_level(logging.INFO)
    away = KafkaError(KafkaError._ALL_BROKERS_DOWN)  # noqa: SLF001
    reading._connection.started()  # noqa: SLF001
    consumer.list_topics = no_brokers
    reading._connection.take(away)  # noqa: SLF001
    reading.read(0.1)
    del consumer.list_topics
    reading.read(0.1)
    reading._connection.take(away)  # noqa: SLF001
    reading.read(0.1)
    said = [record.getMessage() for record in caplog.records if record.name == "relay.connection"]
    assert said == ["Kafka cannot be reached, trying on", "Kafka is back"]


def test_consumer_that_a_broker_which_is_just_back_takes_for_another_goes_on_anew_once(
    clock, reading, consumer, monkeypatch, caplog
):
    """It may know an earlier member of this name; where there is another relay indeed, that one wins."""
    reading._connection.take(KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001
    consumer.messages = [Message(5)]
    reading.read(0.1)
    clock.now += BACK_SECONDS - 1
    new = FakeConsumer({})
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: new)
    consumer.messages = [fenced()]
    reading.read(0.1)
    assert new.calls == []
    reading.read(0.1)
    assert new.calls == ["subscribe"]
    assert "just back" in warnings(caplog)[-1]
    new.on_assign(new, [TopicPartition(*ORDERS)])
    new.messages = [Message(5)]
    assert len(reading.read(0.1)) == 1
    new.messages = [fenced()]
    reading.read(0.1)
    with pytest.raises(FencedError):
        reading.read(0.1)


def test_consumer_that_is_fenced_by_the_first_answer_goes_on_anew(reading, monkeypatch):
    """Nothing else has told yet that Kafka is back."""
    reading._connection.take(KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001
    reading._connection.take(fenced().error())  # noqa: SLF001
    new = FakeConsumer({})
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: new)
    reading.read(0.1)
    assert new.calls == ["subscribe"]


def test_consumer_without_partitions_that_is_answered_is_kept(clock, reading, consumer, monkeypatch):
    """There may be more relays than partitions."""
    consumer.on_lost(consumer, [TopicPartition(*ORDERS)])
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: pytest.fail("another one"))
    for _ in range(100):
        clock.now += 1
        reading.read(0.1)


def test_consumer_that_was_replaced_takes_nothing_away_from_the_new_one(
    clock, reading, consumer, monkeypatch
):
    """It gives its partitions up when it ends, which may be much later."""
    reading.read(0.1)
    consumer.list_topics = no_brokers
    reading._connection.take(KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001
    new = FakeConsumer({})
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: new)
    reading.read(0.1)
    clock.now += PATIENCE
    reading.read(0.1)
    new.on_assign(new, [TopicPartition(*ORDERS)])
    for late in (consumer.on_lost, consumer.on_revoke):
        late(consumer, [TopicPartition(*ORDERS)])
    assert reading.positions() == {ORDERS: 5}
    assert ("unassign", *ORDERS) in consumer.calls
    assert ("unassign", *ORDERS) not in new.calls


# --- topics that are created again -----------------------------------------------------------------------------------


def test_topic_created_again_is_read_by_a_new_consumer_and_told(reading, consumer, monkeypatch, caplog):
    """What was read of the old one, and not committed yet, never is; nor is an answer awaited that nobody will give."""
    consumer.committed_places = []
    consumer.commit = lambda offsets, **_how: consumer.committed_places.append(offsets)
    consumer.messages = [Message(5)]
    (run,) = reading.read(0.1)
    reading._commits.under_way = True  # noqa: SLF001
    reading.commit([chunks.Item(ORDERS, run.tag, {ORDERS: 6}, b"{}", 1, 2)])
    monkeypatch.setattr(reading._tags, "changed", lambda _names, _now: {"orders"})  # noqa: SLF001
    new = FakeConsumer({})
    monkeypatch.setattr(consumer_config, "Consumer", lambda _config: new)
    assert reading.read(0.1) == []
    assert consumer.committed_places == []
    assert consumer.calls == ["close"]
    assert new.calls == ["subscribe"]
    assert reading.positions() == {}
    new.committed = lambda _partitions, _timeout: [TopicPartition(*ORDERS, 7, "old-tag")]
    new.on_assign(new, [TopicPartition(*ORDERS)])
    new.messages = [Message(0)]
    (run,) = reading.read(0.1)
    assert (run.position, run.first) == (0, True)
    assert reading.appeared() == {"orders"}
    assert warnings(caplog) == ["The topic was created again"]
    assert not reading._commits.under_way  # noqa: SLF001


def test_position_of_an_earlier_topic_of_the_name_is_none(consumer):
    """The broker forgets a deleted topic's positions, but the relay may have committed one a moment later."""
    found = Source({"group.id": "g"}, "me", ".*", threading.Event())
    found._membership.begin()  # noqa: SLF001
    old = TopicPartition(*ORDERS, 7, "old-tag")
    consumer.committed = lambda _partitions, _timeout: [old]
    consumer.on_assign(consumer, [TopicPartition(*ORDERS)])
    assert consumer.calls[-1] == ("assign", *ORDERS, 0)
    assert found.appeared() == {"orders"}


# --- whether there is no more ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "live"), [(5, True), (6, False), (-1001, False)])
def test_topic_is_live_when_all_that_was_fetched_is_read(reading, consumer, end, live):
    """Nothing is known of the end before the first answer (librdkafka's `RD_KAFKA_OFFSET_INVALID`)."""
    consumer.end = end
    assert reading.is_live("orders") == live
