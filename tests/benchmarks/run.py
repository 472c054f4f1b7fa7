"""Measures the whole chain, side by side with others: `scripts/bench [--block NAME] [--chain NAME] [--markdown FILE]`.

Real Kafka, relay, Django, real Pushpin and many clients.  Each run has fresh processes, except for the broker.  The
block `benchmark` takes a quarter of an hour, `shapes` longer; with `--repeat 3` three times as long.  What is compared with,
and lets no record pass, has no row; why, is told.  Ends with 1 when a record was lost, repeated or out of order on the way
through this project; slowness is shown, not punished.

`scripts/bench holds`, `relay`, `replay` and `storm` measure what idle clients cost, the relay alone, live events beside
replays, and crowds that come back; each has a `--help` of its own.
"""

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.chains import CHAINS, MOST_CLIENTS, SCRATCH, Chain, Start, broker, found
from tests.benchmarks.cost import Cost, between, snapshot
from tests.benchmarks.names import OURS
from tests.benchmarks.peers import peer
from tests.benchmarks.report import Run, markdown, medians, row, show
from tests.benchmarks.swarm import Load, NotReadyError, Swarm
from tests.benchmarks.workloads import BLOCKS, Workload, continuous
from tests.benchmarks.writer import Plan
from tests.harness.kafka_admin import KafkaAdmin
from tests.harness.processes import end_on_sigterm

CONNECTS_PER_S = 300
# Pushpin 1.36 may leave a client that fell behind alone for 40 s before it goes on; the others never go on.
IDLE_OURS, IDLE_OTHERS = 75, 8
WARM_UP = 60  # seconds
# A second after the first client of a channel Pushpin asks for all of them once more, one channel after the other.
SETTLING = 2.0  # seconds from the last client's stream to the first record
ATTEMPT = 8  # seconds that one try of the warm-up may take
# What is measured is a topic that is in use: the first records of a new one make Java throw away what it had compiled for
# writing, and for a quarter of a second nothing is quick, whoever reads.
USED = Plan(2000, 1000)
PASSED = 1.0  # seconds until the relay, which does not read what nobody listens to, has followed its end
# What a broker does for the first time is slow, until Java has compiled it: 20 clients at 100 records/s had a median of 9.7 ms
# in its first ten seconds, 6.9 in the next ten, and 6.3 from then on.
REHEARSAL = Workload("rehearsal", 20, 4000, 200)


class NothingPassesError(Exception):
    """No record arrives at the end of a chain, however long one waits."""


def writing(chain: Chain, topic: str, plan: Plan) -> subprocess.Popen[str]:
    """Start a writer in a process of its own."""
    fields = {
        "warm": SCRATCH,
        "records": plan.records,
        "rate": plan.rate,
        "start": plan.start,
        "partitions": plan.partitions,
        "size": plan.size,
    }
    command = [sys.executable, "-m", "tests.benchmarks.writer", chain.bootstrap, topic]
    options = [f"--{name}={value}" for name, value in fields.items()]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)


@contextmanager
def explained(chain: Chain) -> Iterator[None]:
    """Add the ends of the processes' logs to whatever goes wrong."""
    try:
        yield
    except Exception as error:
        for process in chain.processes:
            error.add_note(f"--- {process.name} (exit code {process.returncode})\n{process.tail(12)}")
        raise


def passes(chain: Chain) -> bool:
    """Return whether a record that is written now arrives, at one client, in this attempt."""
    load = Load(chain.port, chain.path_of(chain.warm), 1, 1, timeout=ATTEMPT, ready=chain.ready, linger=0)
    with Swarm(load, chain.command(load)) as client:
        try:
            client.wait_ready()
        except NotReadyError:
            return False
        while client.process.poll() is None:
            writing(chain, chain.warm, Plan(4)).communicate()
            time.sleep(0.1)
        return bool(client.result()["complete"])


def warm_up(chain: Chain) -> None:
    """Wait until records pass: the relay has its partitions, all connections stand.

    Tries again, as a browser does: a request that comes while Pushpin or the group is starting may be answered late, or
    with `retry:` and an end.
    """
    deadline = time.monotonic() + WARM_UP
    while not passes(chain):
        if time.monotonic() > deadline:
            raise NothingPassesError(f"no record passed {chain.name} within {WARM_UP} s")
        time.sleep(0.2)
    writing(chain, chain.topic, USED).communicate()
    time.sleep(PASSED)


def measure(workload: Workload, chain: Chain, yardstick: str = "") -> Run:
    """Send the workload through the chain and return what was counted."""
    first = USED.records // USED.partitions
    timeout = 60 + workload.clients / CONNECTS_PER_S + workload.clients * workload.records / 15_000
    load = Load(
        chain.port,
        chain.path_of(chain.topic),
        workload.clients,
        workload.records,
        timeout=timeout,
        rate=CONNECTS_PER_S,
        idle=IDLE_OURS if chain.name == OURS else IDLE_OTHERS,
        ready=chain.ready,
        first=first,
    )
    with Swarm(load, load.yardstick_command(yardstick) if yardstick else chain.command(load)) as clients:
        clients.wait_ready()
        time.sleep(SETTLING)
        before = snapshot(chain.processes)
        writer = writing(chain, chain.topic, replace(workload.plan, start=first))
        counted = clients.result()
        used = between(before, snapshot(chain.processes))
        written = json.loads(writer.communicate()[0])
    for name, figures in (("clients", counted), ("writer", written)):
        used[name] = Cost(figures.get("cpu_s", 0.0), figures.get("rss_kb", 0) * 1024)
    return Run(workload, chain.name, counted, used, written)


@contextmanager
def warmed_up(start: Start, kafka: KafkaAdmin, number: int, workload: Workload) -> Iterator[Chain]:
    """Start a chain, wait until records pass, and end it."""
    with start(kafka, number, workload) as chain, explained(chain):
        warm_up(chain)
        yield chain


def chosen(blocks: list[str], names: list[str]) -> list[Workload]:
    """Return the workloads of the blocks, of all when none is named; only those of these names, where there are any."""
    known = {workload.name: workload for block in blocks or BLOCKS for workload in BLOCKS[block]}
    if unknown := set(names) - set(known):
        sys.exit(f"no such workload: {', '.join(unknown)}; there are {', '.join(known)}")
    return [workload for name, workload in known.items() if not names or name in names]


def run_all(asked: argparse.Namespace) -> list[Run]:
    """Run what was asked for."""
    runs: list[Run] = []
    peers: dict[str, Start] = dict(asked.peer)
    chains = {**CHAINS, **peers}
    names = [*(asked.chain or found()), *peers]
    planned = [
        (workload, name)
        for workload in chosen(asked.block, asked.only)
        for name in turns(compared(workload, names), asked.repeat)
    ]
    with broker(asked.bootstrap) as kafka:
        with warmed_up(CHAINS[OURS], kafka, 0, REHEARSAL) as chain:
            measure(REHEARSAL, chain)
        for number, (workload, name) in enumerate(planned, 1):
            try:
                with warmed_up(chains[name], kafka, number, workload) as chain:
                    runs.append(measure(workload, chain, asked.yardstick))
            except NothingPassesError as error:
                if name == OURS:
                    raise
                traceback.print_exception(error)  # the others are measured all the same
                continue
            print(row(runs[-1], runs), json.dumps(runs[-1].counted), runs[-1].written, sep="\n", flush=True)
    return runs


def compared(workload: Workload, names: list[str]) -> list[str]:
    """Return the chains through which a workload is sent: those that can take its clients."""
    return [name for name in names if workload.clients <= MOST_CLIENTS.get(name, workload.clients)]


def turns(names: list[str], rounds: int) -> Iterator[str]:
    """Yield all names as often as there are rounds, each round beginning with another one: the broker becomes quicker."""
    for turn in range(rounds):
        first = turn % len(names)
        yield from names[first:] + names[:first]


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--block",
        action="append",
        default=[],
        choices=BLOCKS,
        help="the workloads of one part of the page; may be given several times; default: all",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="may be given several times"
    )
    parser.add_argument(
        "--chain",
        action="append",
        default=[],
        choices=found(),
        help="may be given several times; default: all that are installed",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=peer,
        metavar="NAME=URL",
        help="compare with a server that runs already, and reads the broker of --bootstrap; {topic} in its URL\n"
        "stands for the topic: 'Other=http://127.0.0.1:8080/events/{topic}'; may be given several times",
    )
    parser.add_argument(
        "--bootstrap",
        default="",
        metavar="HOST:PORT",
        help="a broker that runs already, in place of one of our own; topics that are created there are deleted",
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="run each workload N times, and show the median"
    )
    parser.add_argument(
        "--yardstick", default="", metavar="PROGRAM", help="another client load, to compare with"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables of each block between its two markers"
    )
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="draw the first block, as SVG; needs matplotlib"
    )
    asked = parser.parse_args()
    if asked.peer and not asked.bootstrap:
        parser.error("--peer needs --bootstrap: the peer has to read the broker that is written to")
    return asked


def main() -> int:
    """Run, print and write; return the exit code."""
    asked = options()
    end_on_sigterm()
    runs = run_all(asked)
    middle = medians(runs)
    tables = {block: [run for run in middle if run.workload in BLOCKS[block]] for block in BLOCKS}
    shown = {block: table for block, table in tables.items() if table}
    for block, table in shown.items():
        show(markdown(table), asked.markdown, block)
    if asked.chart:
        from tests.benchmarks.chart import draw  # noqa: PLC0415 - matplotlib is installed by scripts/bench alone

        draw(next(iter(shown.values())), asked.chart)
    return 0 if all(continuous(run.counted) for run in runs if run.chain == OURS) else 1


if __name__ == "__main__":
    sys.exit(main())
