"""`manage.py relay` as a process of its own: how it starts, what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import uuid

import pytest

from tests.fakes import StubProxy, seconds_of
from tests.harness.environment import clean, manage
from tests.harness.processes import Process
from tests.harness.wait import until

# Whole processes, whose time is promised.
pytestmark = pytest.mark.acceptance

SOON = 15.0
STOP = 5.0
"""Seconds within which the relay has to end after SIGTERM or SIGINT."""


def environment(bootstrap="127.0.0.1:1", grip_url="http://127.0.0.1:1", **changes):
    """Return what the relay needs, with changes; None takes a variable away."""
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": f"g-{uuid.uuid4().hex[:8]}",
        "topic.metadata.refresh.interval.ms": 100,
        "heartbeat.interval.ms": 100,
    }
    wanted = {
        "KAFKA_CONSUMER_CONFIG": json.dumps(config),
        "GRIP_URL": f"{grip_url}?iss=tests&key=a-secret-of-more-than-thirty-two-bytes",
        "SECRET_KEY": "a-secret-that-nobody-may-see",
        **changes,
    }
    return clean({name: value for name, value in wanted.items() if value is not None})


@pytest.fixture
def proxy():
    """Return a stub proxy."""
    with StubProxy() as running:
        yield running


@pytest.fixture
def relay(tmp_path):
    """Return a function that starts the command; it is ended with the test."""
    started = []

    def start(env):
        process = Process(manage("relay"), env, tmp_path / "relay.log", "relay")
        started.append(process)
        return process.start(wait=False)

    yield start
    for process in started:
        process.close()


def stopped(process, number=signal.SIGTERM):
    """Send a signal; return the exit code and how long the end took."""
    process.signal(number)
    codes = []
    seconds = seconds_of(lambda: codes.append(process.wait(30)))
    return codes[0], seconds


def reading(process):
    """Wait until the relay reads partitions."""
    until(lambda: "Reading" in process.log() or not process.alive, SOON, process.tail)
    assert process.alive, process.tail()


# --- Start and end ------------------------------------------------------------------------------------------------


def test_relay_in_the_middle_of_a_stream_ends_in_time_with_everything_committed(mock_kafka, proxy, relay):
    """What was published is committed, exit code 0, one event per line in the log, and no traceback."""
    mock_kafka.create_topic("t")
    env = environment(mock_kafka.bootstrap, proxy.url)
    process = relay(env)
    reading(process)
    mock_kafka.produce("t", *[b"%d" % number for number in range(5000)])
    until(lambda: proxy.chains().last.get("t:all", (0,))[0] > 0, SOON, "items arrive")
    code, seconds = stopped(process)
    assert (code, seconds < STOP) == (0, True), process.tail()
    group = json.loads(env["KAFKA_CONSUMER_CONFIG"])["group.id"]
    chains = proxy.chains()
    # What goes by two chains is committed with the topic's, which comes later.
    assert mock_kafka.committed(group, "t")[0] == chains.last["t:all"][0] <= chains.last["t:0"]
    assert chains.broken == []
    assert {json.loads(line)["level"] for line in process.log().splitlines()} == {"info"}


def test_relay_without_kafka_stays_says_so_once_and_ends_in_time(relay):
    """It may be started before Kafka; the line is JSON, as no terminal reads it."""
    process = relay(environment())
    until(lambda: "cannot be reached" in process.log(), SOON, process.tail)
    code, seconds = stopped(process)
    assert (code, seconds < STOP) == (0, True), f"{code} after {seconds} s: {process.tail()}"
    lines = [json.loads(line) for line in process.log().splitlines()]
    assert [line["level"] for line in lines] == ["warning"]


def test_relay_with_a_proxy_that_hangs_ends_in_time(mock_kafka, proxy, relay):
    """The publish in flight is not waited for as long as a publish may take."""
    mock_kafka.create_topic("t")
    proxy.behaviour = "hang"
    process = relay(environment(mock_kafka.bootstrap, proxy.url))
    reading(process)
    mock_kafka.produce("t", b"a")
    until(lambda: proxy.requests, SOON, "a publish is in flight")
    code, seconds = stopped(process)
    assert (code, seconds < STOP) == (0, True), f"{code} after {seconds} s: {process.tail()}"
