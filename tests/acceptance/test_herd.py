"""Many clients at once: nobody is turned away, and the application keeps nothing of them."""

import http.client
from pathlib import Path

import pytest

from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.writer import Plan, Writer
from tests.harness.cursors import event_id
from tests.harness.stack import status
from tests.harness.wait import until

pytestmark = [pytest.mark.acceptance, pytest.mark.alone]

AT_ONCE, HERD = 200, 1000
PER_SECOND, SECONDS = 300, 4
HOLD_BYTES = 50_000
BEHIND, RETURNING = 10_000, 1000  # records, clients
READS = 50


def threads(process):
    """Return how many threads the process has."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("Threads:")))


def held(stack, topic, clients, rate):
    """Let clients come through the proxy and hold them; return the load, which goes on."""
    return Swarm(Load(stack.port, f"/events/{topic}/", clients, 1, timeout=60, rate=rate, linger=0))


@pytest.fixture
def warm(stack, topic):
    """Return the chain after its first requests: readers, look-ups and connections between its parts are made by then."""
    for url in 3 * [stack.direct_url(f"/events/{topic}/"), stack.url(f"/events/{topic}/")]:
        assert status(url) == http.client.OK
    return stack


def test_herd_through_pushpin_costs_the_application_nothing(kafka, warm, topic):
    """A thousand at once and 300 each second are held, and leave neither threads nor memory behind.

    Left to itself, Pushpin answers a fifth of so many with 500 or 502.
    """
    django = warm.django
    threads_before, memory_before = threads(django), django.rss()
    clients = PER_SECOND * SECONDS
    with held(warm, topic, HERD, 1e6) as first, held(warm, topic, clients, PER_SECOND) as second:
        first.wait_ready()
        second.wait_ready()
        until(lambda: threads(django) <= threads_before, 10, lambda: f"{threads(django)} threads end")
        per_hold = (django.rss() - memory_before) / (HERD + clients)
        kafka.produce(topic, *[b'{"t":1,"p":0,"seq":0}'])
        counted = first.result(), second.result()
    for got, expected in zip(counted, (HERD, clients), strict=True):
        assert got["statuses"] == {"200": expected}, got
        assert got["complete"] == expected, got
    assert per_hold < HOLD_BYTES, f"{per_hold:.0f} bytes"


@pytest.mark.parametrize(("clients", "rate"), [(AT_ONCE, 1e6), (PER_SECOND * SECONDS, PER_SECOND)])
def test_herd_of_requests_to_runserver_gets_200(warm, topic, clients, rate):
    """Nobody is turned away by Django's own server either, and each request's thread ends with it."""
    before = threads(warm.django)
    load = Load(warm.django_port, f"/events/{topic}/", clients, 1, timeout=60, rate=rate, ready="head")
    with Swarm(load) as swarm:
        swarm.wait_ready()
        got = swarm.result()
    assert got["statuses"] == {"200": clients}, got
    assert got["failed"] == 0, got
    until(lambda: threads(warm.django) <= before, 10, lambda: f"{threads(warm.django)} threads end")


def test_herd_that_comes_back_with_one_cursor_costs_kafka_few_reads(kafka, topic, make_stack):
    """A thousand clients, 10,000 records behind, while the topic goes on: all get all, once.

    How soon, `scripts/bench storm` tells.
    """
    chain = make_stack(kafka, env={"LOG_LEVEL": "DEBUG", "KAFKASSE_TOPIC_PATTERN": topic})
    Writer(kafka.bootstrap, topic).write(Plan(BEHIND, size=60))
    until(lambda: sum(kafka.committed(chain.group, topic).values()) == BEHIND, 20, "the relay has read them")
    cursor = event_id(topic, dict.fromkeys(range(4), 0), kafka.topic_id(topic))
    header = f"Last-Event-ID: {cursor}"
    load = Load(chain.port, f"/events/{topic}/", RETURNING, BEHIND + 400, timeout=60, rate=1e6, header=header)
    with Swarm(load) as swarm:
        Writer(kafka.bootstrap, topic).write(Plan(400, rate=100, size=60, start=BEHIND // 4))
        got = swarm.result()
    assert got["statuses"] == {"200": RETURNING}, got
    assert got["complete"] == RETURNING, got
    assert (got["lost"], got["repeated"], got["out_of_order"], got["malformed"]) == (0, 0, 0, 0), got
    assert set(got["notices"]) <= {"stream-open", "stream-heartbeat"}, got
    reads = chain.django.log().count("Read a page")
    assert 0 < reads < READS, f"{reads} reads"
