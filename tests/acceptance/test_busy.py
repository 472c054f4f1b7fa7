"""A busy stream is not asked for: its clients have all there is, and a request for each of them would be for nothing."""

import json
import time

import pytest

from relay.reminders import SILENCE
from tests.acceptance.crowd import arrived
from tests.harness.check import NumberedWriter
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

NEXT_TIMEOUT = 4
"""Seconds after which the proxy asks, when there was nothing."""
BUSY = 3 * NEXT_TIMEOUT


@pytest.fixture
def hasty(kafka, unused_topics, make_stack):
    """Return a chain whose proxy asks often; its log tells each request."""
    return make_stack(kafka, env={"KAFKASSE_NEXT_TIMEOUT": str(NEXT_TIMEOUT)}, pushpin_args=("-v", "2"))


@pytest.fixture
def patient(kafka, make_stack):
    """Return a chain whose proxy hardly ever asks by itself."""
    return make_stack(kafka, env={"KAFKASSE_NEXT_TIMEOUT": "300"}, pushpin_args=("-v", "2"))


def heard_after(moment):
    """Return the condition that a client was told something after a time, in nanoseconds since 1970."""
    return lambda client: bool(client.notices) and client.notices[-1].time > moment


def asked(stack, topic):
    """Return how often the proxy has asked for clients of a topic."""
    return stack.pushpin.log().count(f"/next/events/{topic}/")


def test_busy_stream_is_asked_for_only_once_it_is_silent(kafka, hasty, topic, listen):
    """Then its clients are told that it lives, as before."""
    url = hasty.url(f"/events/{topic}/")
    with NumberedWriter(kafka.bootstrap, topic, rate=20) as writer:
        clients = [listen(url) for _ in range(5)]
        # Those who have just come are asked for, until they are in line.
        for client in clients:
            client.wait_for(BUSY * 5, 30)
        before = asked(hasty, topic)
        for client in clients:
            client.wait_for(BUSY * 20 + BUSY * 5, 2 * BUSY)
        assert asked(hasty, topic) == before
        writer.stop()
        until(lambda: all(arrived(client, writer.acknowledged) for client in clients), 10, "all has arrived")
    silent = time.time_ns()
    for client in clients:
        client.wait_for(
            lambda client: client.notices[-1].time > silent and client.notices[-1].type == "stream-heartbeat",
            4 * NEXT_TIMEOUT,
            "a heartbeat once it is silent",
        )
    until(lambda: asked(hasty, topic) > before, 10, "the proxy asks again")


def test_silent_stream_is_not_asked_for_either(kafka, patient, unused_topics, listen):
    """The relay knows that there is no more, and says so to all at once."""
    topic = unused_topics.pop()
    clients = [listen(patient.url(f"/events/{topic}/")) for _ in range(5)]
    for client in clients:
        client.wait_open()
    kafka.produce(topic, b"a")
    for client in clients:
        client.wait_for(1, 20)
    # Those who have come now are asked for no more by then.
    moment = time.time_ns() + 1e9 * SILENCE / 2
    for client in clients:
        client.wait_for(heard_after(moment), 2 * SILENCE, "a heartbeat")
    before, heard = asked(patient, topic), time.time_ns()
    for client in clients:
        client.wait_for(heard_after(heard), 2 * SILENCE, "another one")
        said = json.loads(client.notices[-1].data)
        assert (client.notices[-1].type, said["lag"], said["ms"]) == ("stream-heartbeat", 0, 0)
        assert said["time"] == pytest.approx(client.notices[-1].time / 1e6, abs=2000)
        assert len(client.records) == len(client.connections) == 1
    assert asked(patient, topic) == before
    last = clients[0].last_event_id
    kafka.produce(topic, b"b", partition=2)
    with patient.client(topic, last_event_id=last) as again:
        again.wait_for(1, 15)
        assert [event.data for event in again.records] == ["b"]


@pytest.mark.parametrize("query", ["", "&partition=1&offset=0"])
def test_busy_stream_ends_at_its_time(kafka, hasty, topic, listen, query):
    """Its clients have a channel on which nothing comes, and so are asked for."""
    with NumberedWriter(kafka.bootstrap, topic, rate=20):
        end = int(time.time() * 1000) + BUSY * 1000
        client = listen(hasty.url(f"/events/{topic}/?until={end}{query}"))
        client.wait_for(
            lambda client: client.notices[-1:] and client.notices[-1].type == "stream-end",
            3 * BUSY,
            "its end",
        )
    assert end - 100 <= client.notices[-1].time / 1e6 <= end + 1000 * NEXT_TIMEOUT
