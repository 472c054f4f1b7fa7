"""Measures resume storms: `scripts/bench storm [--clients N] [--rate N] [--markdown FILE]`.

What holds the clients is killed while records flow, and started again: all come back at once, as browsers do, with the id
of their last event.  Then, through this project's chain alone, all come with one cursor and miss the same thousands of
records, short ones and then longer ones.  Real Kafka, this project's chain and what is done in place of it.  Ends with 1
when a client of this project missed a record, or got one twice.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.chains import CHAINS, Chain, broker
from tests.benchmarks.cost import Cost, between, snapshot
from tests.benchmarks.names import FASTAPI, OURS, PLAIN
from tests.benchmarks.report import add_markdown, figure, kept, machine, missing, show, table_row
from tests.benchmarks.run import CONNECTS_PER_S, SETTLING, USED, warmed_up, writing
from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.workloads import Workload, continuous
from tests.benchmarks.writer import Plan
from tests.harness.cursors import event_id
from tests.harness.kafka_admin import KafkaAdmin
from tests.harness.processes import end_on_sigterm

COMPARED = (OURS, PLAIN, FASTAPI)
HOLDER = {OURS: "pushpin", PLAIN: "pushpin", FASTAPI: "app"}
SECONDS = 40  # for which records are written
KILLED = 10.0  # seconds after the first one
BEHIND = 10_000  # records that all miss who come with one cursor
SIZES = (60, 128)  # bytes of each
PROMISED = 15  # seconds in which they have them again
AT_ONCE = 10_000  # connects per second: all of them
IDLE = 30  # seconds without a record after which nobody waits for more
HERD = "| bytes of each | seconds until all had them | promised | lost | repeated | CPU seconds |\n|--:|--:|---|--:|--:|---|"
HEAD = "| chain | clients that have everything | lost | repeated | longest silence s |\n|---|--:|--:|--:|--:|"


def row(chain: str, counted: dict[str, Any]) -> str:
    """Return the line of the table."""
    cells = [
        chain,
        f"{counted['complete']:,} of {counted['clients']:,}",
        missing(counted),
        figure(counted["repeated"]),
        figure(counted["silence_ms"] / 1000, ",.1f"),
    ]
    return table_row(cells)


def costs(used: dict[str, Cost]) -> str:
    """Return the processor time of each process, those that took most first."""
    by_cost = sorted(used.items(), key=lambda item: -item[1].cpu)
    return ", ".join(f"{name} {cost.cpu:.1f}" for name, cost in by_cost)


def restarted(chain: Chain, clients: int, rate: int) -> dict[str, Any]:
    """Kill what holds the clients while records flow, and start it again."""
    plan = Plan(SECONDS * rate, rate, start=USED.records // USED.partitions)
    load = Load(
        chain.port,
        f"/events/{chain.topic}/",
        clients,
        plan.records,
        timeout=120 + clients / CONNECTS_PER_S,
        rate=CONNECTS_PER_S,
        idle=IDLE,
        ready=chain.ready,
        first=plan.start,
        returns=1,
    )
    holder = next(process for process in chain.processes if process.name == HOLDER[chain.name])
    with Swarm(load) as swarm:
        swarm.wait_ready()
        time.sleep(SETTLING)
        writer = writing(chain, chain.topic, plan)
        time.sleep(KILLED)
        holder.kill()
        holder.start()
        counted = swarm.result()
        writer.communicate()
    return counted


@dataclass(frozen=True)
class Herd:
    """Clients that came at once: what they counted, the seconds until the last one had all records, and what it cost."""

    size: int
    counted: dict[str, Any]
    seconds: float
    used: dict[str, Cost]

    def row(self) -> str:
        """Return the line of the table."""
        cells = [
            str(self.size),
            f"{self.seconds:.1f}",
            f"< {PROMISED} s: {kept(self.seconds < PROMISED)}",
            missing(self.counted),
            figure(self.counted["repeated"]),
            costs(self.used),
        ]
        return table_row(cells)


def behind(chain: Chain, kafka: KafkaAdmin, clients: int, plan: Plan) -> Herd:
    """Have all come at once with the same cursor, behind the records of `plan`."""
    writing(chain, chain.topic, plan).communicate()
    start = event_id(
        chain.topic, dict.fromkeys(range(plan.partitions), plan.start), kafka.topic_id(chain.topic)
    )
    load = Load(
        chain.port,
        f"/events/{chain.topic}/",
        clients,
        plan.records,
        timeout=120,
        rate=AT_ONCE,
        idle=IDLE,
        first=plan.start,
        header=f"Last-Event-ID: {start}",
        returns=1,
    )
    before, began = snapshot(chain.processes), time.monotonic()
    with Swarm(load) as swarm:
        counted = swarm.result()
    took = time.monotonic() - began - load.linger
    return Herd(plan.size, counted, took, between(before, snapshot(chain.processes)))


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench storm", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument(
        "--rate", type=int, default=20, help="records a second while what holds the clients is killed"
    )
    add_markdown(parser)
    return parser.parse_args()


def main() -> int:
    """Measure, print and write; return the exit code."""
    asked = options()
    end_on_sigterm()
    workload = Workload("storm", asked.clients, 0)
    rows, counts, herds = [], [], []
    with broker() as kafka:
        for number, name in enumerate(COMPARED):
            with warmed_up(CHAINS[name], kafka, number, workload) as chain:
                counts.append(restarted(chain, asked.clients, asked.rate))
            rows.append(row(name, counts[-1]))
            print(rows[-1], json.dumps(counts[-1]), sep="\n", flush=True)
        with warmed_up(CHAINS[OURS], kafka, len(COMPARED), workload) as chain:
            for earlier, size in enumerate(SIZES):
                first = (USED.records + earlier * BEHIND) // USED.partitions
                herds.append(behind(chain, kafka, asked.clients, Plan(BEHIND, size=size, start=first)))
                print(herds[-1].row(), json.dumps(herds[-1].counted), sep="\n", flush=True)
    told = f"{asked.clients:,} clients that came at once with one cursor, {BEHIND:,} records behind:\n"
    head = f"{machine()}. {asked.clients:,} clients, {asked.rate} records/s of 128 bytes for {SECONDS} s.\n"
    lines = [head, HEAD, *rows, "", told, HERD, *(herd.row() for herd in herds), ""]
    show("\n".join(lines), asked.markdown, "storm")
    return 0 if all(continuous(each) for each in [counts[0], *(herd.counted for herd in herds)]) else 1


if __name__ == "__main__":
    sys.exit(main())
