"""The figures as Markdown: a table of what the clients counted, a table of what it cost, and on which machine."""

import argparse
import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import confluent_kafka
import django

from tests.benchmarks.cost import Cost
from tests.benchmarks.names import OURS
from tests.benchmarks.workloads import NO_GOAL, Goal, Workload, continuous
from tests.harness import kafka_jars

HEAD = (
    "| workload | chain | deliveries/s | ahead | p50 ms | p99 ms | longest silence ms | lost | repeated "
    "| out of order | promised | to reach |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|"
)
MUCH = 0.01  # of the records


@dataclass(frozen=True)
class Run:
    """One workload through one chain: what was counted, used and written."""

    workload: Workload
    chain: str
    counted: dict[str, Any]
    used: dict[str, Cost]
    written: dict[str, float]

    @property
    def per_s(self) -> float:
        """Deliveries per second between the first and the last one."""
        return self.counted["deliveries_per_s"]


def what(workload: Workload) -> str:
    """Return the workload in words; what is not said is as in most of them."""
    clients = f"{workload.clients:,} client{'s' * (workload.clients > 1)}"
    rate = "flat out" if workload.flat_out else f"at {workload.rate:,}/s"
    more = [
        workload.size != Workload.size and f"{workload.size:,} bytes",
        workload.partitions != Workload.partitions
        and f"{workload.partitions} partition{'s' * (workload.partitions > 1)}",
        workload.topics > 1 and f"{workload.topics:,} topics",
    ]
    return ", ".join([f"{clients} x {workload.records:,} {rate}", *(each for each in more if each)])


def ahead(run: Run, runs: list[Run]) -> str:
    """Return how many times as fast as this run the project was: in deliveries, or in the median of the latency.

    What never arrived took no time: of a chain that lost much, no figure can be compared.
    """
    ours = [other for other in runs if other.workload == run.workload and other.chain == OURS]
    if run.chain == OURS or not ours:
        return ""
    if run.counted["missing"] > MUCH * run.counted["expected"]:
        return "it loses"
    if run.workload.flat_out:
        return f"{ours[-1].per_s / run.per_s:.1f} x" if run.per_s else ""
    return f"{run.counted['p50_ms'] / ours[-1].counted['p50_ms']:.1f} x" if ours[-1].counted["p50_ms"] else ""


def medians(runs: list[Run]) -> list[Run]:
    """Return of each workload and chain the run in the middle, with the worst of what was lost, repeated or out of order."""
    groups: dict[tuple[Workload, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.workload, run.chain), []).append(run)
    return [_median(group) for group in groups.values()]


def _median(runs: list[Run]) -> Run:
    by_speed = sorted(runs, key=lambda run: run.per_s if run.workload.flat_out else -run.counted["p50_ms"])
    middle = by_speed[len(runs) // 2]
    worst = {
        name: max((run.counted[name] or 0) for run in runs)
        for name in ("missing", "repeated", "lost", "out_of_order", "failed")
    }
    return replace(middle, counted={**middle.counted, **worst})


def figure(value: float | None, form: str = ",.0f") -> str:
    """Return a number for a cell; a dash where the program did not count it."""
    return "-" if value is None else format(value, form)


def missing(counted: dict[str, Any]) -> str:
    """Return how many records never arrived, and which share of all that is."""
    lost, expected = counted["missing"], counted["expected"]
    return f"{lost:,} ({lost / expected:.1%})" if lost else "0"


def outcome(goal: Goal, run: Run) -> str:
    """Return a goal of this project's, and whether the run met it."""
    if run.chain != OURS or goal == NO_GOAL:
        return ""
    return f"{goal}: {kept(goal.met(run.counted) and continuous(run.counted))}"


def kept(promise: bool) -> str:  # noqa: FBT001 - the name says what it is
    """Return the word for a promise that was kept, or was not."""
    return "yes" if promise else "**no**"


def table_row(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def row(run: Run, runs: list[Run]) -> str:
    """Return the run's line of the main table."""
    counted = run.counted
    cells = [
        what(run.workload),
        run.chain,
        figure(run.per_s),
        ahead(run, runs),
        figure(counted["p50_ms"], ",.1f"),
        figure(counted["p99_ms"], ",.1f"),
        figure(counted["silence_ms"]),
        missing(counted),
        figure(counted["repeated"]),
        figure(counted["out_of_order"]),
        *(outcome(goal, run) for goal in (run.workload.promised, run.workload.reach)),
    ]
    return table_row(cells)


def cost(runs: list[Run]) -> str:
    """Return the table of CPU seconds and peak memory, a column for each process."""
    names = list(dict.fromkeys(name for run in runs for name in sorted(run.used)))
    lines = [f"| workload | chain | {' | '.join(names)} |", f"|---|---|{'--:|' * len(names)}"]
    for run in runs:
        cells = [
            f"{run.used[n].cpu:.1f} s, {run.used[n].peak / 1e6:.0f} MB" if n in run.used else ""
            for n in names
        ]
        lines.append(f"| {what(run.workload)} | {run.chain} | {' | '.join(cells)} |")
    return "\n".join(lines)


def output(*command: str) -> str:
    """Return the first line that a program prints about itself; empty when it is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return next(iter((done.stdout + done.stderr).splitlines()), "")


def kafka_version() -> str:
    """Return the version of the broker that the harness fetches."""
    jars = Path(kafka_jars.classpath()).parent.glob("kafka_*.jar")
    found = (re.fullmatch(r"kafka_2\.\d+-([\d.]+)\.jar", jar.name) for jar in jars)
    return next((match[1] for match in found if match), "")


def machine() -> str:
    """Return date, machine and versions in a few words, without a full stop."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        f"Django {django.get_version()}",
        f"librdkafka {confluent_kafka.libversion()[0]}",
        output("pushpin", "--version"),
        f"Kafka {kafka_version()}",
        output("java", "-version"),
    ]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return (
        f"Measured on {today}: {cpu}, {os.cpu_count()} cores shared by everything (broker, writer and clients "
        f"included), {memory:.0f} GiB; {', '.join(v for v in versions if v)}"
    )


def markdown(runs: list[Run]) -> str:
    """Return the whole section."""
    table = "\n".join([HEAD, *(row(run, runs) for run in runs)])
    note = "CPU seconds while the workload ran, and peak memory, of each process:"
    measured = (
        f"{machine()}. Where nothing else is said, 4 partitions and 128-byte records; latency from just before the record is handed to the producer "
        "to its arrival at the client."
    )
    return f"{measured}\n\n{table}\n\n{note}\n\n{cost(runs)}\n"


def markers(block: str) -> tuple[str, str]:
    """Return the comments between which a command writes a block of a page."""
    return f"<!-- {block}:begin -->", f"<!-- {block}:end -->"


def write_between_markers(path: Path, text: str, around: tuple[str, str]) -> None:
    """Put `text` between the two marker comments of the page; raises when they are not there."""
    before, begin, rest = path.read_text().partition(around[0])
    _, end, after = rest.partition(around[1])
    if not (begin and end):
        raise ValueError(f"{path} has no {around[0]} and {around[1]} after it")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def add_markdown(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where `show` writes."""
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table between its two markers"
    )


def show(text: str, page: Path | None, block: str) -> None:
    """Print a text, and write it to a block of a page, if there is one to write to."""
    print(text)
    if page:
        write_between_markers(page, text, markers(block))
