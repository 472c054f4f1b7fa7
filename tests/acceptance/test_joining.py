"""Clients that join a fast stream line up with it, and then the log is asked no more."""

import re
import time
from datetime import datetime

import pytest

from tests.benchmarks.swarm import Load, Swarm
from tests.harness.check import NumberedWriter

pytestmark = [pytest.mark.acceptance, pytest.mark.alone]

CLIENTS, RATE = 50, 5000
JOINING = 2.0  # seconds in which they come
ALIGNED = 5.0  # seconds from the last one's coming to the last repair
WATCHED = 8.0  # seconds of stream for each client, so that a repair after ALIGNED would be seen
REPAIRS = 60
LINGER = 20  # ms; the broker's time for thousands of small requests would be taken from the chain
TIME = re.compile(r"^\[INFO\] (\S+ \S+) \[zurl\] IN .* GET \S+/next/events/", re.MULTILINE)
MOST_SHOWN = 20  # of the repairs, when they are too many


def repairs(log):
    """Return when Pushpin asked for a next link, as its log says (`-v 2`)."""
    return [datetime.fromisoformat(found).timestamp() for found in TIME.findall(log)]


def test_clients_join_a_fast_stream_without_a_gap(kafka, topic, make_stack):
    """Fifty join 5,000 records/s within 2 s: no gap, no repeat, all live within 5 s, in fewer than 60 repairs."""
    stack = make_stack(kafka, pushpin_args=("-v", "2"))
    load = Load(
        stack.port,
        f"/events/{topic}/",
        CLIENTS,
        int(RATE * WATCHED),
        timeout=60,
        rate=CLIENTS / JOINING,
        linger=0,
    )
    with NumberedWriter(kafka.bootstrap, topic, rate=RATE, linger_ms=LINGER) as writer:
        writer.wait_total(RATE, 10)
        with Swarm(load) as swarm:
            swarm.wait_ready()
            joined = time.time()
            got = swarm.result()
    asked = repairs(stack.pushpin.log())
    told = (
        f"{len(asked)} repairs, the last ones {[round(at - joined, 1) for at in asked[-MOST_SHOWN:]]} s "
        f"after the last client joined; {got}"
    )
    assert got["statuses"] == {"200": CLIENTS}, told
    assert got["complete"] == CLIENTS, told
    assert (got["lost"], got["repeated"], got["out_of_order"], got["malformed"]) == (0, 0, 0, 0), told
    # A refill that finds nothing new, because the item came meanwhile, says so by a heartbeat.
    assert {**got["notices"], "stream-heartbeat": 0} == {"stream-open": CLIENTS, "stream-heartbeat": 0}, told
    assert asked, "the log shows no request at all"
    assert len(asked) < REPAIRS, told
    assert max(asked) - joined < ALIGNED, told
