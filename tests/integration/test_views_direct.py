"""Streams without a proxy: the same events as through one, straight from the log."""

import asyncio
import json
import threading
import time
from contextlib import contextmanager

import pytest
from django.test import AsyncClient, Client

from kafkasse import direct
from tests.harness.cursors import event_id, positions_of
from tests.harness.eventstream import EventStreamParser
from tests.harness.wait import until
from tests.kafkasse.grip_proxy import ask

pytestmark = pytest.mark.integration

SOON = 10


@pytest.fixture(autouse=True)
def directly(settings):
    """Let the application stream by itself."""
    settings.KAFKASSE_DIRECT = True


class Listener:
    """A client of the application, in a thread of its own."""

    def __init__(self, path, **headers):
        """Ask; the answer's body is read in the background."""
        self.answer = Client().get(path, headers=headers)
        self.text, self.ended = b"", False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for part in self.answer.streaming_content:
            self.text += part
            if self._closing.is_set():
                break
        else:
            self.ended = True
        self.answer.close()

    def close(self):
        """Go away; the server notices when it has something to say."""
        self._closing.set()
        self._thread.join(SOON)
        assert not self._thread.is_alive()

    @property
    def events(self):
        """All events by now."""
        return EventStreamParser().feed(self.text)

    @property
    def records(self):
        """The data of those that are records."""
        return [event.data for event in self.events if not event.type.startswith("stream-")]

    def wait(self, condition, what):
        """Wait for something to be true of the listener."""
        return until(lambda: condition(self), SOON, lambda: f"{what}: {self.text!r}")


@contextmanager
def listening(path, settings=None, **headers):
    """Run a listener."""
    if settings:
        settings.KAFKASSE_NEXT_TIMEOUT = 1  # a heartbeat, on which the end of the client is noticed
    listener = Listener(path, **headers)
    try:
        yield listener
    finally:
        listener.close()


def meant(events):
    """Return the events with what their ids mean: a vector may lag behind its own position."""
    return [(event.type, event.data, positions_of(event.id)) for event in events]


def test_past_and_live_come_from_the_log_without_a_relay(cluster, topic, settings):
    """Nobody has committed anything; nothing is lost or repeated where the two meet."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(n % 2, b"%d" % n) for n in range(10)])
    with listening(f"/events/{topic}/?offset=earliest", settings) as listener:
        listener.wait(lambda it: len(it.records) == 10, "what is there")
        cluster.write(topic, [(n % 2, b"%d" % n) for n in range(10, 20)])
        listener.wait(lambda it: len(it.records) >= 20, "what comes")
        assert sorted(map(int, listener.records)) == list(range(20))
        assert listener.answer.headers["Content-Type"] == "text/event-stream"
        assert "Grip-Hold" not in listener.answer.headers
        assert "Content-Length" not in listener.answer.headers


def test_fresh_stream_begins_at_the_end(cluster, topic, settings):
    """History is never sent unasked."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"old")])
    with listening(f"/events/{topic}/", settings) as listener:
        listener.wait(lambda it: it.events, "the opening")
        cluster.write(topic, [(0, b"new")])
        listener.wait(lambda it: it.records == ["new"], "the new record")


def test_events_are_the_ones_that_a_proxy_gets(cluster, topic):
    """Byte for byte, so that a client may go on at the other."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(n % 2, b"50 %% of %d" % n) for n in range(10)])
    cluster.commit(topic, {0: 5, 1: 5})
    path = f"/events/{topic}/?offset=earliest&until=now"
    straight = b"".join(Client().get(path).streaming_content)
    assert straight == ask(path, Grip_Sig="x").body
    assert straight.count(b"event: message") == 10


def test_every_id_resumes_exactly(cluster, topic):
    """Of the records behind it, all and no others."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(n % 2, b"%d" % n) for n in range(10)])
    whole = EventStreamParser().feed(
        b"".join(Client().get(f"/events/{topic}/?offset=earliest&until=now").streaming_content)
    )
    for number, event in enumerate(whole[1:-1], start=1):
        answer = Client().get(f"/events/{topic}/?until=now", headers={"Last-Event-ID": event.id})
        rest = EventStreamParser().feed(b"".join(answer.streaming_content))
        assert meant(rest[1:-1]) == meant(whole[number + 1 : -1])


def test_topic_that_appears_is_streamed_from_its_first_record(cluster, topic, settings):
    """It is looked for while the client waits, and not created."""
    with listening(f"/events/{topic}/", settings) as listener:
        listener.wait(lambda it: it.events, "the opening")
        assert topic not in cluster.topics()
        cluster.create_topic(topic, 3)
        cluster.write(topic, [(2, b"first")])
        listener.wait(lambda it: it.records == ["first"], "the first record")


def test_silent_stream_beats(cluster, topic, settings):
    """Bytes for whoever is in between, and the client's cursor."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"old")])
    with listening(f"/events/{topic}/", settings) as listener:
        listener.wait(lambda it: len(it.events) > 2, "two heartbeats")
        assert listener.events[1].type == "stream-heartbeat"
        assert json.loads(listener.events[1].data)["lag"] == 0
        assert positions_of(listener.events[1].id) == {0: 1}


def test_retention_is_told(cluster, topic):
    """As it is through a proxy."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"%d" % n) for n in range(10)])
    cluster.forget_before(topic, 0, 6)
    answer = Client().get(f"/events/{topic}/?until=now", headers={"Last-Event-ID": event_id(topic, {0: 2})})
    _opened, reset, *rest = EventStreamParser().feed(b"".join(answer.streaming_content))
    assert (reset.type, json.loads(reset.data)["reason"]) == ("stream-reset", "retention")
    assert [event.data for event in rest[:-1]] == ["6", "7", "8", "9"]


def test_more_streams_than_allowed_are_told_to_come_back(cluster, topic, settings):
    """With jitter, and never with an error; a place that was left is free again."""
    settings.KAFKASSE_DIRECT_STREAMS = 1
    cluster.create_topic(topic, 1)
    with listening(f"/events/{topic}/", settings) as first:
        first.wait(lambda it: it.events, "the opening")
        refused = Client().get(f"/events/{topic}/")
        parser = EventStreamParser()
        assert parser.feed(b"".join(refused.streaming_content)) == []
        assert refused.status_code == 200
        assert 2000 <= parser.retry <= 5000
    with listening(f"/events/{topic}/", settings) as second:
        second.wait(lambda it: it.events, "the opening")


def test_kafka_that_goes_away_ends_the_stream_with_a_retry(fragile, topic):
    """The client keeps its cursor, and comes back."""
    fragile.create_topic(topic, 1)
    fragile.write(topic, [(0, b"0")])
    with listening(f"/events/{topic}/?offset=earliest") as listener:
        listener.wait(lambda it: it.records == ["0"], "the record")
        last = listener.events[-1].id
        fragile.down()
        began = time.monotonic()
        listener.wait(lambda it: it.ended, "the end")
        assert time.monotonic() - began < 5
        assert listener.text.rpartition(b"retry: ")[2].strip().isdigit()
    fragile.up()
    fragile.write(topic, [(0, b"1")])
    with listening(f"/events/{topic}/?until=now", Last_Event_ID=last) as back:
        back.wait(lambda it: it.ended, "the rest")


def test_event_loop_server_streams_too(cluster, topic, settings):
    """Under ASGI no thread waits with the client."""
    settings.KAFKASSE_NEXT_TIMEOUT = 1
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"0")])

    async def listen():
        answer = await AsyncClient().get(f"/events/{topic}/?offset=earliest")
        text = b""
        async for part in answer.streaming_content:
            text += part
            if b"data: 0\n" in text and b"data: 1\n" not in text:
                await asyncio.to_thread(cluster.write, topic, [(0, b"1")])
            if b"data: 1\n" in text:
                return text
        return text

    text = asyncio.run(asyncio.wait_for(listen(), SOON))
    assert [event.data for event in EventStreamParser().feed(text)[1:]] == ["0", "1"]
    until(lambda: direct._places()._value == 100, SOON, "the place is free again")  # noqa: SLF001


@pytest.mark.parametrize(
    ("debug", "asked", "streams"), [(True, None, True), (False, None, False), (True, False, False)]
)
def test_streams_where_debug_is_on_unless_told_otherwise(cluster, topic, settings, debug, asked, streams):
    """On the internet it has to be asked for."""
    settings.DEBUG = debug
    del settings.KAFKASSE_DIRECT
    if asked is not None:
        settings.KAFKASSE_DIRECT = asked
    answer = Client().get(f"/events/{topic}/?until=now")
    assert answer.streaming == streams
    b"".join(answer)


def test_request_that_a_proxy_forwarded_is_held(cluster, topic):
    """Its `Grip-Sig` says so."""
    assert ask(f"/events/{topic}/", Grip_Sig="x").holds
