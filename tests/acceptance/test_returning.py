"""Clients that were away from a topic that goes on come back to it, however many there are and wherever they were."""

from contextlib import ExitStack

import pytest

from tests.benchmarks.swarm import Load, Swarm
from tests.harness.check import NumberedWriter
from tests.harness.cursors import event_id

pytestmark = [pytest.mark.acceptance, pytest.mark.alone]

CLIENTS, APART = 20, 10  # and how many records of each partition lie between one's place and the next one's
PAST, SIZE = 16_000, 1024  # records, bytes: three times what counts as coming back
RATE = 300  # at which the topic goes on
LIVE = 5  # seconds of it that each client has to get
PATIENCE = 60  # seconds


@pytest.mark.timeout(120)
def test_clients_at_different_places_catch_up_with_a_topic_that_goes_on(kafka, topic, make_stack):
    """Where replays have to give way as much as they can: all of them together get less than the topic brings for all."""
    stack = make_stack(kafka, env={"KAFKASSE_REPLAY_REST": "100000"})
    writer = NumberedWriter(kafka.bootstrap, topic, rate=RATE, size=SIZE)
    writer.write(PAST)
    tag = kafka.topic_id(topic)
    with writer, ExitStack() as running:
        loads = []
        for number in range(CLIENTS):
            behind = dict.fromkeys(range(writer.partitions), APART * number)
            load = Load(
                stack.port,
                f"/events/{topic}/",
                clients=1,
                expect=PAST - writer.partitions * APART * number + RATE * LIVE,
                timeout=PATIENCE,
                header=f"Last-Event-ID: {event_id(topic, behind, tag)}",
            )
            loads.append(running.enter_context(Swarm(load)))
        counted = [load.result() for load in loads]
    late = [got for got in counted if not got["complete"]]
    assert not late, f"{len(late)} of {CLIENTS} have not caught up: {late[0]}"
    assert not any(got["lost"] or got["repeated"] or got["out_of_order"] or got["closed"] for got in counted)
