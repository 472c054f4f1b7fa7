"""Whatever is stopped, killed or slow, a client that comes back has every record once in each connection, in order.

Twenty clients read a topic of four partitions at 500 records/s while parts of the chain go away and return.
"""

import json
import time

import pytest

from tests.acceptance.crowd import Crowd, arrived
from tests.harness.check import NumberedWriter, check
from tests.harness.cursors import event_id
from tests.harness.kafka import KafkaBroker
from tests.harness.link import Link
from tests.harness.stack import Stack
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

# At the clients.  All but one have to keep what is promised; where other programs use the processors too, one may
# take longer, but never as long as without what the promise rests on: static membership, and no second at the proxy.
RESTART, BUSY_RESTART = 2.0, 5.0  # seconds from a relay's start; a member without a name takes more than six
TAKE_OVER, BUSY_TAKE_OVER = 8.0, 10.0  # from a relay's end; six are the session's
TURNED = 5.0  # seconds until the clients of a topic that changed hands are held anew; without a hint it takes up to 29
BACK = 30.0  # seconds until a chain whose proxy or broker was away works again
KAFKA_TESTS = 3
SLOW_CLIENT = 75.0  # Pushpin 1.36 may leave a client that fell behind alone for 45 s before it goes on
SLOW_RECORDS, SLOW_RATE = 6000, 1000  # of 1 kB; with many more a client falls behind for a second time


def whole(chain):
    """Start whatever an earlier test has left ended."""
    for part in (chain.django, chain.pushpin, *chain.relays):
        if not part.alive:
            part.start()
    return chain


@pytest.fixture(scope="module")
def module_chain(kafka, unused_topics, tmp_path_factory):
    with Stack(kafka, tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def chain(module_chain):
    """Return a chain in front of the shared Kafka, that may be hurt."""
    return whole(module_chain)


@pytest.fixture(scope="module")
def module_kafka_chain(tmp_path_factory):
    with KafkaBroker(tmp_path_factory.mktemp("faults-kafka")) as broker:
        # Before the relay starts: it takes up to five seconds to find a new one.
        names = [broker.create_topic() for _ in range(KAFKA_TESTS)]
        with Stack(broker, tmp_path_factory.mktemp("kafka-faults")) as running:
            yield running, names


@pytest.fixture
def kafka_chain(module_kafka_chain):
    """Return a chain in front of a Kafka that may be hurt too, and a topic there."""
    running, names = module_kafka_chain
    if not running.kafka.process.alive:
        running.kafka.start()
    return whole(running), names.pop()


def said(process, text):
    """Return how often a process wrote `text` since its start."""
    return process.log().count(text)


# --- the relay ----------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_relay_killed_five_times_goes_on_at_once(chain, topic):
    """After each SIGKILL records flow within 2 s of the next start, though the group's session lasts 6 s."""
    (relay,) = chain.relays
    with Crowd(chain, topic) as crowd:
        seconds = []
        for _ in range(5):
            relay.kill()
            relay.start(wait=False)
            seconds.append(crowd.wait_flowing(20))
        crowd.finish()
    assert crowd.connections() == {1}
    assert sorted(seconds)[-2] <= RESTART, seconds
    assert max(seconds) <= BUSY_RESTART, seconds


def test_relay_terminated_ten_times_repeats_nothing(chain, topic):
    """Rolling restarts go unnoticed: no client reconnects, none gets anything twice."""
    (relay,) = chain.relays
    with Crowd(chain, topic) as crowd:
        for _ in range(10):
            assert relay.terminate(5) == 0
            relay.start(wait=False)
            crowd.wait_flowing(20)
        reports = crowd.finish()
    assert crowd.connections() == {1}
    assert [report.again for report in reports] == [0] * 20


@pytest.mark.alone
def test_two_relays_killed_by_turns_take_over(kafka, topic, make_stack):
    """The partitions of a relay that died go to the other one, and records flow on to everybody."""
    chain = make_stack(kafka, relays=2, env={"KAFKASSE_TOPIC_PATTERN": topic})
    with Crowd(chain, topic) as crowd:
        seconds = []
        for relay in chain.relays:
            until(lambda: shares(chain) == [2, 2], 20, lambda: f"each has its share: {shares(chain)}")
            relay.kill()
            seconds.append(crowd.wait_flowing(20))
            relay.start(wait=False)
        crowd.finish()
    assert crowd.connections() == {1}
    assert min(seconds) <= TAKE_OVER, seconds
    assert max(seconds) <= BUSY_TAKE_OVER, seconds


def test_second_relay_that_comes_and_goes_keeps_nobody_waiting(kafka, topic, make_stack):
    """The topic ceases to be one relay's as a whole, and becomes so again: its clients are held by other channels each time."""
    chain = make_stack(kafka, env={"KAFKASSE_TOPIC_PATTERN": topic})
    with Crowd(chain, topic) as crowd:
        other = chain.add_relay()
        until(lambda: shares(chain) == [2, 2], 20, lambda: f"each has its share: {shares(chain)}")
        shared = crowd.wait_flowing(20)
        assert other.terminate(5) == 0
        until(lambda: shares(chain) == [4], 20, lambda: f"one has all: {shares(chain)}")
        alone = crowd.wait_flowing(20)
        crowd.finish()
    assert crowd.connections() == {1}
    assert max(shared, alone) <= TURNED


def shares(chain):
    """Return how many partitions each relay of the group has."""
    return sorted(len(assigned) for assigned in chain.kafka.group_members(chain.group).values())


# --- Pushpin ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_pushpin_away_and_back_loses_nothing(chain, topic, how):
    """Clients come back to a new Pushpin and go on where they were; the relay says so once."""
    (relay,) = chain.relays
    before = said(relay, "Proxy does not accept items")
    with Crowd(chain, topic) as crowd:
        getattr(chain.pushpin, how)()
        until(lambda: said(relay, "Proxy does not accept items") > before, 10, "the relay says so")
        chain.pushpin.start()
        crowd.wait_flowing(BACK)
        crowd.finish()
    assert min(crowd.connections()) > 1
    assert said(relay, "Proxy does not accept items") == said(relay, "Proxy accepts items again")


def test_relay_away_while_pushpin_is_away_loses_nothing(chain, topic):
    """Both gone at once: whoever comes first waits for the other."""
    (relay,) = chain.relays
    with Crowd(chain, topic) as crowd:
        chain.pushpin.kill()
        relay.kill()
        relay.start(wait=False)
        relay.wait_log("Proxy does not accept items", 15)
        chain.pushpin.start()
        crowd.wait_flowing(BACK)
        crowd.finish()


def test_relay_that_starts_without_pushpin_says_so_once_and_goes_on(chain, topic):
    """It tries on for as long as it takes, silently; what was written meanwhile comes when Pushpin does."""
    (relay,) = chain.relays
    with Crowd(chain, topic, clients=5) as crowd:
        relay.terminate(5)
        chain.pushpin.terminate()
        relay.start(wait=False)
        relay.wait_log("Proxy does not accept items", 15)
        total = crowd.writer.total
        crowd.writer.wait_total(total + 1500, 10)  # three seconds, and several attempts
        assert relay.alive
        assert said(relay, "Proxy does not accept items") == 1
        chain.pushpin.start()
        crowd.wait_flowing(BACK)
        crowd.finish()
    assert said(relay, "Proxy accepts items again") == 1


# --- Kafka --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_kafka_away_and_back_loses_nothing(kafka_chain, how):
    """The streams stay open while the broker is away, and go on with what is written when it is back."""
    chain, topic = kafka_chain
    (relay,) = chain.relays
    gone, back = "Kafka cannot be reached", "Kafka is back"
    # A broker that has just started may have been missed for a moment already.
    until(lambda: said(relay, gone) == said(relay, back), 15, "what was said before is over")
    before = said(relay, gone)
    with Crowd(chain, topic) as crowd:
        getattr(chain.kafka, how)()
        until(lambda: said(relay, gone) > before, 15, "the relay says so")
        chain.kafka.start()
        crowd.wait_flowing(BACK)
        crowd.finish()
        assert crowd.connections() == {1}
    assert relay.alive
    assert [said(relay, gone), said(relay, back)] == [before + 1, before + 1]


def test_relay_that_starts_without_kafka_says_so_once_and_goes_on(kafka_chain):
    """It waits for the broker, and then publishes what it missed."""
    chain, topic = kafka_chain
    (relay,) = chain.relays
    with Crowd(chain, topic, clients=5) as crowd:
        relay.terminate(5)
        chain.kafka.kill()
        relay.start(wait=False)
        relay.wait_log("Kafka cannot be reached", 15)
        chain.kafka.start()
        crowd.wait_flowing(BACK)
        crowd.finish()
    assert relay.alive
    assert said(relay, "Kafka cannot be reached") == 1


# --- Django -------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(150)
def test_django_stopped_for_20_s_cuts_nobody_off(chain, topic):
    """The streams live without the application, and whatever they needed from it they get when it returns.

    All need it from the beginning on, and it is asked again 31 to 36 s after that, at the latest.  They are many and ask
    at the same time: where a request that they share fails without an answer, some are forgotten by Pushpin for good.
    """
    with Crowd(chain, topic, clients=60, rate=100) as crowd:
        chain.django.terminate()
        crowd.hint()
        total = crowd.writer.total
        crowd.writer.wait_total(total + 20 * 100, 30)
        chain.django.start()
        crowd.wait_flowing(BACK)
        # A repair that was asked for twice would bring its second answer by now.
        crowd.writer.wait_total(total + 40 * 100, 30)
        crowd.finish()
    assert crowd.connections() == {1}


@pytest.mark.parametrize(
    ("records", "after", "sealed"),
    [(20_000, 500_000, "false"), (20_000, 500_000, "true"), (1000, 50_000, "true")],
    ids=["first answer", "page", "repair"],
)
def test_answer_cut_in_the_middle_loses_nothing(kafka, topic, make_stack, records, after, sealed):
    """A network that breaks leaves part of an answer; the client is not moved on behind it.

    Sealed, as they are where there is a network, a first answer has no records; a thousand come with the hold after it.
    """
    env = {"KAFKASSE_TOPIC_PATTERN": topic, "KAFKASSE_SEALED_ANSWERS": sealed}
    chain = make_stack(kafka, start=False, env=env)
    with Link(chain.django_port) as link:
        chain.pushpin.args.append(f"--origin=127.0.0.1:{link.port}")
        last = NumberedWriter(kafka.bootstrap, topic).write(records)
        with chain:
            start = event_id(topic, dict.fromkeys(range(4), 0), kafka.topic_id(topic))
            link.cut_answers([after])
            with chain.client(topic, last_event_id=start, reconnect=True, max_retry=0.5) as client:
                client.wait_for(lambda client: arrived(client, last), 30, "all records")
                check(client.records, last).assert_ok()
    assert link.cuts == 1


# --- clients and partitions -----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(150)
def test_slow_client_gets_everything(kafka, chain, topic):
    """A client that does not read for a while loses nothing, and holds up nobody else.

    The records come in many items, of which Pushpin keeps a hundred for each client and drops the others.
    """
    writer = NumberedWriter(kafka.bootstrap, topic, size=1000, rate=SLOW_RATE)
    with chain.client(topic) as quick, chain.client(topic, receive_buffer=4096) as slow:
        quick.wait_open()
        slow.wait_open()
        slow.pause()
        with writer:
            writer.wait_total(SLOW_RECORDS, 30)
            last = writer.stop()
        quick.wait_for(lambda client: arrived(client, last), SLOW_CLIENT, "the quick one has all")
        assert len(slow.records) < SLOW_RECORDS / 2
        slow.resume()
        slow.wait_for(lambda client: arrived(client, last), SLOW_CLIENT, "the slow one has all")
        for client in (quick, slow):
            check(client.records, last).assert_ok()
            assert "stream-reset" not in [notice.type for notice in client.notices]
            assert len(client.connections) == 1


def test_added_partitions_reach_everybody(kafka, chain, topic):
    """Partitions that appear while clients hold and records flow: nobody misses a record of them."""
    with Crowd(chain, topic) as crowd:
        kafka.add_partitions(topic, 6)
        for number in range(30):
            for partition in (4, 5):
                value = {"t": time.time_ns(), "p": partition, "seq": number}
                kafka.produce(topic, json.dumps(value).encode(), partition=partition)
        crowd.expected = {4: 29, 5: 29}
        crowd.finish()
    assert crowd.connections() == {1}
