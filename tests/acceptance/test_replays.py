"""Who reads the past takes what live events leave."""

import json

import pytest

from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.writer import Plan, Writer

pytestmark = [pytest.mark.acceptance, pytest.mark.alone]

PAST, SIZE = 100_000, 1024  # records; more than anybody reads meanwhile
REPLAYS, LIVE = 50, 3  # clients
RECORDS, RATE = 1000, 100  # of each measurement; per second
MORE = 2.0  # how many times as late the latest one in a hundred is at the least where nothing gives way


@pytest.fixture
def past(kafka, unused_topics):
    """Return a topic that has a long past."""
    topic = unused_topics.pop()
    Writer(kafka.bootstrap, topic).write(Plan(PAST, size=SIZE))
    return topic


@pytest.mark.timeout(180)
def test_live_events_pass_fifty_clients_that_read_from_the_start(kafka, past, topic, make_stack, listen):
    """They are late where replays do not give way, and hardly where they do; how late, `scripts/bench replay` tells."""
    pattern = {"KAFKASSE_TOPIC_PATTERN": f"{past}|{topic}"}
    chains = [make_stack(kafka, env=pattern | more) for more in ({}, {"KAFKASSE_REPLAY_REST": "0"})]
    gives_way, does_not = (beside_replays(kafka, chain, past, topic, listen) for chain in chains)
    assert MORE * gives_way < does_not, f"{gives_way:.1f} ms, and {does_not:.1f} ms"


def beside_replays(kafka, chain, past, topic, listen):
    """Return how long the latest one in a hundred records takes from the moment at which the replays come."""
    clients = [listen(chain.url(f"/events/{topic}/")) for _ in range(LIVE)]
    for client in clients:
        client.wait_open()
    writer = Writer(kafka.bootstrap, topic)
    p99_ms(writer, clients)  # who has just come is asked for once more
    replay = Load(chain.port, f"/events/{past}/?offset=earliest", REPLAYS, PAST, timeout=150)
    with Swarm(replay) as replays:
        replays.wait_ready()
        return p99_ms(writer, clients)


def p99_ms(writer, clients):
    """Return how long the latest one in a hundred of the records takes that are written now; each client gets all of them."""
    before = len(clients[0].records)
    writer.write(Plan(RECORDS, RATE))
    took = []
    for client in clients:
        client.wait_for(before + RECORDS, 30)
        events = client.records[before:]
        written = [json.loads(event.data) for event in events]
        for partition in range(Plan.partitions):
            numbers = [each["seq"] for each in written if each["p"] == partition]
            assert numbers == [*range(RECORDS // Plan.partitions)], f"partition {partition}"
        took += [(event.time - each["t"]) / 1e6 for event, each in zip(events, written, strict=True)]
    return sorted(took)[len(took) * 99 // 100]
