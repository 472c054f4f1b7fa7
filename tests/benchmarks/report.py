"""The figures as Markdown: a table of what the clients counted, a table of what it cost, and on which machine."""

import datetime as dt
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
import django

from tests.benchmarks.cost import Cost
from tests.benchmarks.workloads import Workload, continuous
from tests.harness import kafka_jars

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
OURS, PLAIN = "this project", "one item per record"
HEAD = (
    "| workload | chain | deliveries/s | ratio | p50 ms | p99 ms | longest silence ms | lost | repeated "
    "| out of order | promised | kept |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|"
)


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
    """Return the workload in words."""
    clients = f"{workload.clients:,} client{'s' * (workload.clients > 1)}"
    rate = "flat out" if workload.flat_out else f"at {workload.rate:,}/s"
    return f"{clients} x {workload.records:,} {rate}"


def ratio(run: Run, runs: list[Run]) -> str:
    """Return how many times as fast as one item per record this was, when both were run."""
    plain = [r for r in runs if r.workload == run.workload and r.chain == PLAIN]
    if run.chain == PLAIN or not plain or not plain[-1].per_s:
        return ""
    return f"{run.per_s / plain[-1].per_s:.0f} x"


def figure(value: float | None, form: str = ",.0f") -> str:
    """Return a number for a cell; a dash where the program did not count it."""
    return "-" if value is None else format(value, form)


def missing(counted: dict[str, Any]) -> str:
    """Return how many records never arrived, and which share of all that is."""
    lost, expected = counted["missing"], counted["expected"]
    return f"{lost:,} ({lost / expected:.1%})" if lost else "0"


def row(run: Run, runs: list[Run]) -> str:
    """Return the run's line of the main table."""
    counted, ours = run.counted, run.chain == OURS
    kept = run.workload.kept(counted) and continuous(counted)
    cells = [
        what(run.workload),
        run.chain,
        figure(run.per_s),
        ratio(run, runs),
        figure(counted["p50_ms"], ",.1f"),
        figure(counted["p99_ms"], ",.1f"),
        figure(counted["silence_ms"]),
        missing(counted),
        figure(counted["repeated"]),
        figure(counted["out_of_order"]),
        run.workload.promise if ours else "",
        ("yes" if kept else "**no**") if ours else "",
    ]
    return f"| {' | '.join(cells)} |"


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
        f"{machine()}. 4 partitions, 128-byte records; latency from just before the record is handed to the producer "
        "to its arrival at the client."
    )
    return f"{measured}\n\n{table}\n\n{note}\n\n{cost(runs)}\n"


def write_between_markers(path: Path, text: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Put `text` between the two marker comments of the page; raises when they are not there."""
    before, begin, rest = path.read_text().partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not (begin and end):
        raise ValueError(f"{path} has no {markers[0]} and {markers[1]} after it")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
