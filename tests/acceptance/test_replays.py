"""Who reads the past takes what live events leave."""

import pytest

from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.writer import Plan, Writer

pytestmark = [pytest.mark.acceptance, pytest.mark.alone]

PAST, SIZE = 100_000, 1024  # records; more than anybody reads meanwhile
REPLAYS, LIVE = 50, 20  # clients
RECORDS, RATE = 1000, 100  # of each measurement; per second
LATER = 2.0  # how many times as late the latest one in a hundred may be
ATTEMPTS = 3  # where other programs use the processors, too, the best counts


@pytest.fixture
def past(kafka, unused_topics):
    """Return a topic that has a long past."""
    topic = unused_topics.pop()
    Writer(kafka.bootstrap, topic).write(Plan(PAST, size=SIZE))
    return topic


@pytest.mark.timeout(180)
def test_live_events_pass_fifty_clients_that_read_from_the_start(kafka, past, topic, make_stack):
    """They are hardly later than without them."""
    chain = make_stack(kafka, env={"KAFKASSE_TOPIC_PATTERN": f"{past}|{topic}"})
    replay = Load(chain.port, f"/events/{past}/?offset=earliest", REPLAYS, PAST, timeout=150)
    begins = iter(range(0, 10 * RECORDS, RECORDS))
    p99_ms(kafka, chain, topic, next(begins))  # the first records of a chain are slow
    ratios = []
    while len(ratios) < ATTEMPTS and min(ratios, default=LATER) >= LATER:
        alone = p99_ms(kafka, chain, topic, next(begins))
        with Swarm(replay) as replays:
            replays.wait_ready()
            ratios.append(p99_ms(kafka, chain, topic, next(begins)) / alone)
    assert min(ratios) < LATER, ratios


def p99_ms(kafka, chain, topic, begin):
    """Return how long the latest one in a hundred records takes to clients that are there, who get all of them."""
    start = begin // 4  # the records have their numbers by partition
    load = Load(chain.port, f"/events/{topic}/", LIVE, RECORDS, first=start)
    with Swarm(load) as live:
        live.wait_ready()
        Writer(kafka.bootstrap, topic).write(Plan(RECORDS, RATE, start=start))
        got = live.result()
    assert got["complete"] == LIVE, got
    assert (got["lost"], got["repeated"], got["out_of_order"]) == (0, 0, 0), got
    return got["p99_ms"]
