"""Kafka away, slow or busy, and many clients at once: no other status than 200, and no position lost."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kafkasse import history, positions
from kafkasse.exceptions import KafkaUnavailableError
from tests.harness.cursors import chained, channels_of, event_id
from tests.harness.mock_kafka import METADATA, OFFSET_COMMIT, OFFSET_FETCH
from tests.harness.wait import until
from tests.kafkasse.grip_proxy import GripProxy, ask

pytestmark = pytest.mark.integration

PROMISED = 3.0
"""Seconds within which Kafka's absence is answered."""


def timed(path, **headers):
    """Return the answer, and the seconds that it took."""
    began = time.monotonic()
    answer = ask(path, **headers)
    return answer, time.monotonic() - began


def all_ways(topic):
    """Ask for a topic in every way at the same time; return the answers by way, each within the time promised."""
    place = event_id(topic, {0: 3})
    ways = {
        "fresh": (f"/events/{topic}/", {}),
        "resume": (f"/events/{topic}/", {"Last_Event_ID": place}),
        "follow": (f"/next/events/{topic}/{place}/", {}),
        "refill": (
            f"/next/events/{topic}/",
            {"Grip_Last": f"{chained(topic)}:0; last-id=3, {chained(topic)}:1; last-id=zz"},
        ),
        "index": ("/", {}),
        # librdkafka answers such questions one after the other; nobody may have to wait for the others' time-outs.
        "index again": ("/", {}),
        "index once more": ("/", {}),
    }
    with ThreadPoolExecutor(len(ways)) as pool:
        asked = {way: pool.submit(timed, path, **headers) for way, (path, headers) in ways.items()}
        found = {way: future.result() for way, future in asked.items()}
    assert {way: round(took, 1) for way, (_, took) in found.items() if took > PROMISED} == {}
    return {way: answer for way, (answer, _) in found.items()}


def check_absent(topic):
    """Ask in every way while Kafka is away."""
    answers = all_ways(topic)
    for way in ("fresh", "resume", "follow"):
        answer = answers[way]
        assert (answer.status, answer.holds) == (200, False), way
        assert answer.text == f"retry: {answer.retry}\n\n"  # no id: the client's cursor stays what it is
        assert 2000 <= answer.retry <= 5000
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert "Grip-Link" not in answer.headers
    refill = answers["refill"]
    assert (refill.status, refill.text) == (200, ":\n\n")
    assert refill.positions == {0: 3, 1: 35 * 36 + 35}
    assert list(refill.channels) == channels_of(topic, (0, 1))
    assert 0 < refill.timeout < 30
    assert answers["index"].status == 200
    assert "cannot be reached" in answers["index"].text


def test_kafka_was_never_there_is_told_in_time(settings, clean_history, topic):
    """A port that nobody listens on."""
    settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}
    check_absent(topic)


def test_kafka_that_never_answers_is_told_in_time(settings, clean_history, topic):
    """A port that takes connections and nothing else."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": address, "group.id": "g"}
        check_absent(topic)


def test_kafka_that_is_known_to_be_away_is_told_soon(settings, clean_history, topic):
    """When many come back meanwhile, each takes a place at the proxy for as long as it waits."""
    settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}
    ask(f"/events/{topic}/")
    until(lambda: timed(f"/events/{topic}/")[1] < 1, 5, "the look-up has failed")
    seconds = [timed(f"/events/{topic}/")[1] for _ in range(5)]
    assert max(seconds) < 1, seconds


def test_kafka_goes_away_and_comes_back_without_a_loss(fragile, topic):
    """A held client stays where it is, and gets the rest afterwards."""
    fragile.create_topic(topic, 2)
    fragile.commit(topic, {0: 0, 1: 0})
    proxy = GripProxy().open(topic)
    fragile.write(topic, [(0, b"%d" % number) for number in range(5)])
    fragile.commit(topic, {0: 5})
    fragile.down()
    check_absent(topic)
    proxy.refill()
    assert proxy.positions == {0: 0, 1: 0}
    assert proxy.records() == []
    fragile.up()
    until(lambda: proxy.refill().positions == {0: 5, 1: 0}, 10, "the refill after Kafka came back")
    assert [event.data for event in proxy.records()] == ["0", "1", "2", "3", "4"]


def test_head_and_bad_names_do_not_need_kafka(settings, clean_history, topic):
    """They are answered at once."""
    settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}
    assert ask(f"/events/{topic}/", "head").status == 200
    assert ask("/events/a,b/").status == 404
    assert ask(f"/events/{topic}/", "post").status == 405
    assert not positions.lookup.is_made


def test_readers_busy_is_told_in_time(cluster, topic, settings):
    """Who finds no free reader comes back later, and then gets all of it."""
    settings.KAFKASSE_READERS = 1
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"x")])
    cluster.commit(topic, {0: 1})
    place = event_id(topic, {0: 0})
    with history.readers().reader():
        answer, took = timed(f"/events/{topic}/", Last_Event_ID=place)
    assert answer.text == f"retry: {answer.retry}\n\n"
    assert took < PROMISED
    assert [event.data for event in ask(f"/events/{topic}/", Last_Event_ID=place).events[1:]] == ["x"]


def test_reader_is_free_again_after_an_error(cluster, topic, settings):
    """A page that failed costs no reader."""
    settings.KAFKASSE_READERS = 1
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), history.readers().reader():
            raise ZeroDivisionError
    with history.readers().reader() as reader:
        assert reader


def test_reader_that_read_nothing_is_not_used_again(cluster, topic, settings):
    """Another one may hear of the partition's leader what this one takes for outdated."""
    settings.KAFKASSE_READERS = 1
    with history.readers().reader() as former:
        pass
    with pytest.raises(KafkaUnavailableError), history.readers().reader() as same:
        raise KafkaUnavailableError
    with history.readers().reader() as another:
        assert former is same is not another


@pytest.fixture
def slow(fragile, topic):
    """Let a broker take its time for each answer, and count what it is asked."""
    fragile.create_topic(topic, 2)
    fragile.write(topic, [(0, b"x")] * 9)
    fragile.commit(topic, {0: 7, 1: 0})
    positions.lookup().committed(topic)
    fragile.start_counting()
    yield fragile
    fragile.delay(0)


def test_questions_that_are_each_answered_in_time_do_not_add_up(slow, topic):
    """Positions, ends and a page each come before their time-out; a request that needs them all ends in time as well."""
    slow.delay(550)
    answer, took = timed(f"/events/{topic}/", Last_Event_ID=event_id(topic, {0: 3}))
    assert took < PROMISED
    assert answer.text == f"retry: {answer.retry}\n\n"


def test_many_at_once_share_few_lookups(slow, topic):
    """Two hundred clients that connect at the same moment cost Kafka a handful of questions."""
    slow.delay(100)
    barrier = threading.Barrier(200)

    def connect(_):
        barrier.wait(30)
        return ask(f"/events/{topic}/")

    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(connect, range(200)))
    assert {answer.status for answer in answers} == {200}
    assert [answer.positions for answer in answers if answer.positions != {0: 7, 1: 0}] == []
    counts = slow.counted()
    assert 1 <= counts[OFFSET_FETCH] <= 20
    assert counts[METADATA] <= 40


def test_many_topics_at_once_share_one_question(slow):
    """Those who wait together are answered together, whatever they ask for."""
    names = [f"many-{number}" for number in range(20)]
    for number, name in enumerate(names):
        slow.create_topic(name, 1)
        slow.commit(name, {0: number})
    slow.start_counting()
    slow.delay(20)
    lookup = positions.lookup()
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lookup.committed, [(name,) for name in names]))
    assert [known.positions for known in found] == [{(name, 0): number} for number, name in enumerate(names)]
    assert slow.counted()[OFFSET_FETCH] <= 3


def test_lookup_that_began_before_the_request_is_not_used_for_it(slow, topic):
    """The relay may have gone on since the question was put."""
    slow.delay(400)
    lookup = positions.lookup()
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(lookup.committed, (topic,))
        until(lambda: slow.counted()[OFFSET_FETCH] == 1, 5, "the question of the first")
        slow.commit(topic, {0: 8}, wait=False)
        until(lambda: slow.counted()[OFFSET_COMMIT] == 1, 5, "the relay's commit")
        assert not early.done()
        late = pool.submit(lookup.committed, (topic,))
        assert early.result(10).positions == {(topic, 0): 7, (topic, 1): 0}
        assert late.result(10).positions == {(topic, 0): 8, (topic, 1): 0}
