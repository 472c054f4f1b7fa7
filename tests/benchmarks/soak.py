"""Says whether anything grows, or gets lost, in the long run: `scripts/soak [--minutes N] [--rate N] [--markdown FILE]`.

A writer, and clients that come and go, in crews: some start with what comes, some with the last thousand records, some
with a cursor that is ten seconds old.  Memory and open files of each process are noted all the time, and what they grow by
is told as a slope, from after the first fifth on: until then caches fill.  Real Kafka, Pushpin, Django and relay; a Pushpin
that ends is started again, as a supervisor does.  Ends with 1 when a record was lost, repeated or out of order, or when a
process grows: what leaks is never given back, so the least that it holds in a tenth of the time rises from tenth to tenth,
whatever it takes for a moment in between.
"""

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.cost import RUNNER, uses
from tests.benchmarks.report import add_markdown, machine, show, table_row
from tests.benchmarks.swarm import Load, Swarm
from tests.harness.check import NumberedWriter
from tests.harness.cursors import event_id
from tests.harness.kafka import KafkaBroker
from tests.harness.processes import Process, end_on_sigterm
from tests.harness.stack import Options, Stack

CREWS, CREW = 8, 25  # clients come and go by the crew
STAYS = (10.0, 60.0)  # seconds, the shortest and the longest
OLD = 10.0  # seconds of age of a cursor with which somebody comes back
LAST = 1000  # records that somebody asks for
NOTED = 5.0  # seconds from one look at the processes to the next
SETTLING = 0.2  # of the time, before which nothing counts
TENTHS = 10
GROWS = 0.1  # of what a process holds, by which the floor rises in all the time that counts
STEADILY = 0.8  # correlation of ten floors with time: by chance, less than one in two hundred has more
SHOWN = 40  # lines of each log that tell of failures, where something was wrong, or somebody was sent away
PUSHPIN_ARGS = ("-v", "2")  # it then tells of each request that failed
COUNTED = ("lost", "repeated", "out_of_order", "malformed")
HEAD = "| process | MB at first | MB at the end | MB an hour | files at first | at the end | files an hour |\n|---|--:|--:|--:|--:|--:|--:|"


@dataclass
class Series:
    """What one process held, in megabytes and open files, and when: in hours."""

    hours: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def grows(self) -> list[str]:
        """Return which of the two grows."""
        return [name for name, held in (("memory", self.memory), ("files", self.files)) if rises(held)]

    def slope(self, held: list[float]) -> float:
        """Return by how much it grows in an hour."""
        return statistics.linear_regression(self.hours, held).slope

    def row(self, name: str) -> str:
        """Return the line of the table: means of the first and the last tenth, and the slopes."""
        cells = [name]
        for held in (self.memory, self.files):
            tenth = max(1, len(held) // TENTHS)
            first, last = statistics.mean(held[:tenth]), statistics.mean(held[-tenth:])
            cells += [f"{first:.1f}", f"{last:.1f}", f"{self.slope(held):+.1f}"]
        return table_row(cells)


def rises(held: Sequence[float]) -> bool:
    """Say whether the least that was held in each tenth of the time rises, by much and steadily."""
    size = max(1, len(held) // TENTHS)
    floors = [min(held[begin : begin + size]) for begin in range(0, len(held) - size + 1, size)]
    if len(floors) < TENTHS or max(floors) == min(floors):
        return False
    tenths = range(len(floors))
    by = statistics.linear_regression(tenths, floors).slope * tenths[-1]
    return by > GROWS * statistics.mean(held) and statistics.correlation(tenths, floors) > STEADILY


class Watch:
    """What the processes hold, between two times of `time.monotonic`; and the supervisor of Pushpin."""

    def __init__(self, stack: Stack, kafka: Process, begin: float, end: float) -> None:
        """Nothing is noted yet."""
        self._stack, self._kafka, self._begin, self._end = stack, kafka, begin, end
        self._series: dict[str, dict[str, Series]] = {}
        self.restarts = 0

    def look(self) -> None:
        """Note what they hold now, if it is time; start Pushpin again where it has ended."""
        stack = self._stack
        if not stack.pushpin.alive:
            self.restarts += 1
            # What it holds now is no part of what it held.
            self._series.pop(stack.pushpin.name, None)
            stack.pushpin.start()
        if self._begin < time.monotonic() < self._end:
            self._note([stack.django, stack.pushpin, *stack.relays, self._kafka])

    def _note(self, processes: Iterable[Process]) -> None:
        for process in processes:
            for name, pid, use in uses([process]):
                if name != RUNNER:
                    series = self._series.setdefault(process.name, {}).setdefault(name, Series())
                    series.hours.append(time.monotonic() / 3600)
                    series.memory.append(use.rss / 1e6)
                    series.files.append(len([*Path(f"/proc/{pid}/fd").iterdir()]))

    def series(self) -> dict[str, Series]:
        """Return what each process held, by its name; nothing of one that was not looked at twice."""
        named = (each for of_one in self._series.values() for each in of_one.items())
        return {name: series for name, series in named if len(series.hours) > 1}


class Clients:
    """Crews of clients that come, get what they came for, and go, until a time; what they counted is added up."""

    def __init__(
        self, stack: Stack, topic: str, writer: NumberedWriter, stays: Sequence[float], until: float
    ) -> None:
        """Nobody comes yet."""
        self._stack, self._topic, self._writer, self._until = stack, topic, writer, until
        self._stays = stays
        self._rate, self._began = writer.rate, time.monotonic()
        self._topic_id = stack.kafka.topic_id(topic)
        self._chance = random.Random(0)  # noqa: S311 - to be repeated
        self._kinds = itertools.cycle([self._new, self._with_the_last, self._back])
        self._lock = threading.Lock()
        self.counted: Counter[str] = Counter()
        self.crews = self.came_back = 0
        self.wrong: list[str] = []
        self.failed: list[BaseException] = []
        self._there: set[Swarm] = set()
        self._broken = threading.Event()
        self._threads = [threading.Thread(target=self._come_and_go, name=f"crew {n}") for n in range(CREWS)]

    def start(self) -> None:
        """Let them come."""
        for thread in self._threads:
            thread.start()

    def wait_gone(self, timeout: float) -> bool:
        """Wait so many seconds at the most; say whether all are gone."""
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Send away who is still there, and let nobody come any more."""
        self._broken.set()
        for swarm in self._there.copy():
            swarm.process.kill()

    def _come_and_go(self) -> None:
        try:
            while time.monotonic() < self._until and not self._broken.is_set():
                with self._lock:
                    load = next(self._kinds)(self._chance.uniform(*self._stays))
                self._come(load)
        except BaseException as error:  # noqa: BLE001 - told at the end, by the thread that runs all this
            self.failed.append(error)
            self._broken.set()

    def _come(self, load: Load) -> None:
        came = time.monotonic() - self._began
        with Swarm(load) as swarm:
            self._there.add(swarm)
            try:
                if self._broken.is_set():
                    return
                got = swarm.result()
            finally:
                self._there.remove(swarm)
        with self._lock:
            self._add(load, came, got)

    def _add(self, load: Load, came: float, got: Mapping[str, Any]) -> None:
        self.crews += 1
        left = time.monotonic() - self._began
        self.came_back += got["closed"]
        if got["closed"]:
            told = f"{got['closed']} of {load.path} were sent away in the {left - came:.0f} s before"
            print(f"{time.strftime('%H:%M:%S')}: {told}", file=sys.stderr)
        self.counted["delivered"] += got["delivered"]
        wrong = {name: got[name] for name in COUNTED} | {
            "resets": got["notices"].get("stream-reset", 0),
            "incomplete": CREW - got["complete"],
            "refused": got["failed"],
        }
        self.counted.update(wrong)
        if any(wrong.values()):
            asked = f"{load.path} {load.header}".strip()
            seen = {name: count for name, count in wrong.items() if count}
            self.wrong.append(f"{asked}, from {came:.0f} s to {left:.0f} s: {seen}\n  {dict(got)}")

    def _load(self, seconds: float, query: str = "", header: str = "", more: int = 0) -> Load:
        return Load(
            self._stack.port,
            f"/events/{self._topic}/{query}",
            CREW,
            int(self._rate * seconds) + more,
            timeout=4 * seconds + 60,
            rate=100,
            header=header,
            returns=1,
        )

    def _new(self, seconds: float) -> Load:
        return self._load(seconds)

    def _with_the_last(self, seconds: float) -> Load:
        return self._load(seconds, f"?last={LAST}", more=LAST)

    def _back(self, seconds: float) -> Load:
        old = self._old_positions()
        return self._load(
            seconds,
            header=f"Last-Event-ID: {event_id(self._topic, old, self._topic_id)}",
            more=int(OLD * self._rate),
        )

    def _old_positions(self) -> Mapping[int, int]:
        behind = int(OLD * self._rate / self._writer.partitions)
        return {p: max(0, last + 1 - behind) for p, last in self._writer.acknowledged.copy().items()}


def soak(minutes: float, rate: float, stays: Sequence[float], folder: Path) -> tuple[Watch, Clients]:
    """Run everything for so long, with so many records a second."""
    with KafkaBroker(folder / "kafka") as kafka:
        topic = kafka.create_topic()
        with (
            Stack(kafka, folder / "stack", Options(pushpin_args=PUSHPIN_ARGS)) as stack,
            NumberedWriter(kafka.bootstrap, topic, rate=rate) as writer,
        ):
            writer.wait_total(int(OLD * rate), 60)
            began = time.monotonic()
            end = began + 60 * minutes
            clients = Clients(stack, topic, writer, stays, end)
            watch = Watch(stack, kafka.process, began + 60 * minutes * SETTLING, end)
            clients.start()
            try:
                while not clients.wait_gone(NOTED):
                    watch.look()
            finally:
                clients.stop()
            if clients.wrong or clients.came_back:
                for process in (stack.django, stack.pushpin, *stack.relays):
                    print(f"--- {process.name}", *failures(process.whole_log()), sep="\n", file=sys.stderr)
    return watch, clients


def failures(log: str) -> list[str]:
    """Return the last lines of a log, but for Pushpin's of what went well."""
    return [line for line in log.splitlines() if "[INFO]" not in line or " error" in line][-SHOWN:]


def main() -> int:
    """Run, print and write; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=2000, help="records a second; each goes to 200 clients")
    parser.add_argument(
        "--stays",
        type=float,
        nargs=2,
        metavar=("SHORTEST", "LONGEST"),
        default=STAYS,
        help="seconds for which clients stay: the shorter, the more come back",
    )
    add_markdown(parser)
    asked = parser.parse_args()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="kafkasse-soak-") as folder:
        watch, clients = soak(asked.minutes, asked.rate, asked.stays, Path(folder))
    if clients.failed:
        raise clients.failed[0]
    series = watch.series()
    # Java takes what it is allowed to, and keeps it.
    grown = [f"{name}: {what}" for name, each in series.items() if name != "kafka" for what in each.grows()]
    wrong = {name: count for name, count in clients.counted.items() if count and name != "delivered"}
    told = (
        f"{clients.crews:,} crews of {CREW} came and went, and got {clients.counted['delivered']:,} records; "
        f"sent away for a moment, and back: {clients.came_back:,}; Pushpin ended, and was started again: {watch.restarts}; "
        f"wrong: {wrong or 'nothing'}; growing: {', '.join(grown) or 'nothing'}."
    )
    shortest, longest = asked.stays
    head = (
        f"{machine()}. {asked.minutes:g} minutes at {asked.rate:,.0f} records/s, {CREWS * CREW} clients at a time, "
        f"for {shortest:g} to {longest:g} seconds.\n"
    )
    rows = [each.row(name) for name, each in series.items()]
    text = "\n".join([head, HEAD, *rows, f"\n{told}\n"])
    show(text, asked.markdown, "soak")
    for crew in clients.wrong:
        print(crew, file=sys.stderr)
    return 1 if wrong or grown else 0


if __name__ == "__main__":
    sys.exit(main())
