"""Measures what idle clients cost: `scripts/bench holds [--clients N] [--markdown FILE]`.

So many clients listen to a topic in which nothing happens: memory of each process before they came and while they are
there, and the processor time that they take.  Then one record is written, and reaches all.  Real Kafka, this project's chain
and what is done in place of it.  Ends with 1 when a client of this project did not get the record.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.chains import CHAINS, Chain, broker
from tests.benchmarks.cost import RUNNER, uses
from tests.benchmarks.names import FASTAPI, OURS, PLAIN
from tests.benchmarks.report import add_markdown, machine, show
from tests.benchmarks.run import CONNECTS_PER_S, USED, warmed_up, writing
from tests.benchmarks.swarm import Load, Swarm
from tests.benchmarks.workloads import Workload
from tests.benchmarks.writer import Plan
from tests.harness import usage
from tests.harness.processes import end_on_sigterm

COMPARED = (OURS, PLAIN, FASTAPI)
SETTLED = 5.0  # seconds after the last one has come
HEAD = (
    "| chain | process | MB before | MB with them | kB per client | CPU, % of a core |\n"
    "|---|---|--:|--:|--:|--:|"
)


@dataclass(frozen=True)
class Held:
    """What clients cost: the uses of each process before they came, when they had, and `seconds` later; and what they got."""

    chain: str
    before: dict[str, usage.Use]
    begin: dict[str, usage.Use]
    end: dict[str, usage.Use]
    seconds: float
    counted: dict[str, Any]

    def rows(self, clients: int) -> list[str]:
        """Return the lines of the table: a process each."""
        return [
            f"| {self.chain} | {name} | {self.before[name].rss / 1e6:.0f} | {use.rss / 1e6:.0f} "
            f"| {(use.rss - self.before[name].rss) / 1e3 / clients:.1f} "
            f"| {(use.cpu - self.begin[name].cpu) / self.seconds:.1%} |"
            for name, use in self.end.items()
        ]


def uses_now(chain: Chain) -> dict[str, usage.Use]:
    """Return what each process of the chain uses now, but not the broker, and not Pushpin's idle runner."""
    return {name: use for name, _pid, use in uses(chain.processes[:-1]) if name != RUNNER}


def hold(chain: Chain, clients: int, seconds: float) -> Held:
    """Have clients listen to nothing for some seconds, and then to one record."""
    before = uses_now(chain)
    load = Load(
        chain.port,
        f"/events/{chain.topic}/",
        clients,
        1,
        timeout=60 + clients / CONNECTS_PER_S + seconds,
        rate=CONNECTS_PER_S,
        ready=chain.ready,
        first=USED.records // USED.partitions,
    )
    with Swarm(load) as swarm:
        swarm.wait_ready()
        time.sleep(SETTLED)
        begin, began = uses_now(chain), time.monotonic()
        time.sleep(seconds)
        end, took = uses_now(chain), time.monotonic() - began
        writing(chain, chain.topic, Plan(1, start=USED.records // USED.partitions)).communicate()
        counted = swarm.result()
    return Held(chain.name, before, begin, end, took, counted)


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench holds", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=60, help="for how long they hear nothing")
    add_markdown(parser)
    return parser.parse_args()


def main() -> int:
    """Measure, print and write; return the exit code."""
    asked = options()
    end_on_sigterm()
    found = []
    with broker() as kafka:
        for number, name in enumerate(COMPARED):
            workload = Workload("holds", asked.clients, 1)
            with warmed_up(CHAINS[name], kafka, number, workload) as chain:
                found.append(hold(chain, asked.clients, asked.seconds))
            print(*found[-1].rows(asked.clients), json.dumps(found[-1].counted), sep="\n", flush=True)
    rows = [row for held in found for row in held.rows(asked.clients)]
    got = "; ".join(
        f"{held.chain}: {held.counted['complete']:,} of {asked.clients:,}, the last after {held.counted['max_ms']:,.0f} ms"
        for held in found
    )
    text = "\n".join(
        [
            f"{machine()}. {asked.clients:,} clients of one topic, silent for {asked.seconds} s.\n",
            HEAD,
            *rows,
            f"\nThen one record was written, and reached: {got}.\n",
        ]
    )
    show(text, asked.markdown, "holds")
    return 0 if found[0].counted["complete"] == asked.clients else 1


if __name__ == "__main__":
    sys.exit(main())
