"""Measures live latency beside replays: `scripts/bench replay [--replays N] [--markdown FILE]`.

Twenty clients get 100 records per second, first alone, then while others read another topic from its beginning.  Real
Kafka, relay, Django and Pushpin.  Ends with 1 when a live record was lost, repeated or out of order.
"""

import argparse
import os
import sys
import time
from typing import Any

from tests.benchmarks.chains import Chain, broker, ours
from tests.benchmarks.report import add_markdown, figure, kept, machine, missing, show, table_row
from tests.benchmarks.run import CONNECTS_PER_S, SETTLING, USED, explained, warm_up, writing
from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.workloads import Workload, continuous
from tests.benchmarks.writer import Plan, Writer
from tests.harness.processes import end_on_sigterm

RECORD = 1024  # bytes
LIVE = 20  # clients
RATE = 100  # records per second
LIVE_WORKLOAD = Workload("live", LIVE, 0, RATE)
PROMISED = 2.0  # times as high is their 99th percentile beside the others, at the most
ENTRY = 5.0  # seconds in which all are there that replay
HEAD = "| live clients | p50 ms | p99 ms | longest ms | lost | repeated | replayed MB/s |\n|---|--:|--:|--:|--:|--:|--:|"


def live(chain: Chain, start: int, seconds: int) -> dict[str, Any]:
    """Return what clients counted who listened for some seconds to records that begin with the number `start`."""
    plan = Plan(seconds * RATE, RATE, start=start)
    load = Load(chain.port, f"/events/{chain.topic}/", LIVE, plan.records, timeout=seconds + 60, first=start)
    with Swarm(load) as clients:
        clients.wait_ready()
        time.sleep(SETTLING)
        writer = writing(chain, chain.topic, plan)
        counted = clients.result()
        writer.communicate()
    return counted


def row(name: str, counted: dict[str, Any], replayed: float) -> str:
    """Return the table's line about the live clients, beside so many megabytes per second of replays."""
    cells = [
        name,
        *(figure(counted[key], ",.1f") for key in ("p50_ms", "p99_ms", "max_ms")),
        missing(counted),
        figure(counted["repeated"]),
        figure(replayed, ",.1f"),
    ]
    return table_row(cells)


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench replay", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--replays", type=int, default=50, help="clients that read the past")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="how much past there is")
    parser.add_argument("--seconds", type=int, default=30, help="for how long each of the two is measured")
    add_markdown(parser)
    return parser.parse_args()


def main() -> int:
    """Measure, print and write; return the exit code."""
    asked = options()
    end_on_sigterm()
    records = int(asked.gigabytes * 1e9) // RECORD
    with broker() as kafka, ours(kafka, 0, LIVE_WORKLOAD) as chain, explained(chain):
        Writer(kafka.bootstrap, chain.warm).write(Plan(records, size=RECORD))
        os.sync()  # what is still on its way to the disk would be in the way of what is measured
        warm_up(chain)
        first = USED.records // USED.partitions
        alone = live(chain, first, asked.seconds)
        past = Load(
            chain.port,
            f"/events/{chain.warm}/?offset=earliest",
            asked.replays,
            records,
            timeout=asked.seconds + SETTLING + ENTRY,
            rate=CONNECTS_PER_S,
        )
        with Swarm(past) as replays:
            replays.wait_ready()
            beside = live(chain, first + len(range(0, asked.seconds * RATE, 4)), asked.seconds)
            replayed = replays.result()
    workload = (
        f"{LIVE} clients at {RATE} records/s of 128 bytes for {asked.seconds} s; {asked.replays} clients that read "
        f"{asked.gigabytes:g} GB of {RECORD}-byte records from their beginning"
    )
    later = beside["p99_ms"] / alone["p99_ms"]
    text = "\n".join(
        [
            f"{machine()}. {workload}.\n",
            HEAD,
            row("alone", alone, 0),
            row(f"beside {asked.replays} replays", beside, replayed["bytes"] / replayed["seconds"] / 1e6),
            f"\nThe 99th percentile is {later:.1f} times as high beside them (promised: < {PROMISED:g}: {kept(later < PROMISED)}).\n",
        ]
    )
    show(text, asked.markdown, "replay")
    return 0 if continuous(alone) and continuous(beside) else 1


if __name__ == "__main__":
    sys.exit(main())
