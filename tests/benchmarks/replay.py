"""Measures live latency beside replays: `python -m tests.benchmarks.replay [--replays N] [--gigabytes N] [--seconds N]`.

Twenty clients get 100 records per second, first alone, then while others read another topic from its beginning.  Real
Kafka, relay, Django and Pushpin.  Prints what the live clients saw, how much was replayed, and the ratio of the 99th
percentiles.
"""

import argparse
import os
import time
from typing import Any

from tests.benchmarks.chains import Chain, broker, ours
from tests.benchmarks.run import CONNECTS_PER_S, SETTLING, USED, explained, warm_up, writing
from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.workloads import continuous
from tests.benchmarks.writer import Plan, Writer

RECORD = 1024  # bytes
LIVE = 20  # clients
RATE = 100  # records per second
ENTRY = 5.0  # seconds in which all are there that replay


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


def told(name: str, counted: dict[str, Any]) -> str:
    """Return a line about the live clients."""
    lost = "nothing lost" if continuous(counted) else "RECORDS LOST OR REPEATED"
    return f"{name}: p50 {counted['p50_ms']:.1f} ms, p99 {counted['p99_ms']:.1f} ms, max {counted['max_ms']:.1f} ms; {lost}"


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--replays", type=int, default=50, help="clients that read the past")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="how much past there is")
    parser.add_argument("--seconds", type=int, default=30, help="for how long each of the two is measured")
    asked = parser.parse_args()
    records = int(asked.gigabytes * 1e9) // RECORD
    with broker() as kafka, ours(kafka, 0) as chain, explained(chain):
        Writer(kafka.bootstrap, chain.warm).write(Plan(records, size=RECORD))
        os.sync()  # what is still on its way to the disk would be in the way of what is measured
        warm_up(chain)
        first = USED.records // USED.partitions
        alone = live(chain, first, asked.seconds)
        print(told("alone", alone), flush=True)
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
        print(told(f"beside {asked.replays} replays", beside))
        print(f"replayed: {replayed['bytes'] / replayed['seconds'] / 1e6:.1f} MB/s")
        print(f"p99: {beside['p99_ms'] / alone['p99_ms']:.2f} times as much as alone")


if __name__ == "__main__":
    main()
