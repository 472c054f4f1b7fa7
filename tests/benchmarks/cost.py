"""CPU seconds and peak memory of the processes of a chain."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import usage
from tests.harness.processes import Process

RUNNER = "pushpin"  # starts Pushpin's other processes and does nothing itself


@dataclass(frozen=True)
class Cost:
    """What a process has used since its start."""

    cpu: float  # seconds
    peak: int  # bytes, the most it ever held

    def since(self, before: "Cost | None") -> "Cost":
        """Return what was used since `before`; the peak stays that of the whole life."""
        return Cost(self.cpu - (before.cpu if before else 0), self.peak)


def peak(pid: int | str = "self") -> int:
    """Return the most bytes that a process ever held; 0 when it has ended.

    `getrusage` would include the program that started it, as long as that was larger.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def uses(processes: Iterable[Process]) -> Iterator[tuple[str, int, usage.Use]]:
    """Yield name, id and use of each process and of its children, so that Pushpin's handler is told from its proxy."""
    for process in processes:
        for pid, use in usage.of_session(process.pid).items():
            yield process.name if pid == process.pid else use.program, pid, use


def snapshot(processes: Iterable[Process]) -> dict[str, Cost]:
    """Return the cost of each process and of its children."""
    found: dict[str, Cost] = {}
    for name, pid, use in uses(processes):
        known = found.get(name, Cost(0, 0))
        found[name] = Cost(known.cpu + use.cpu, known.peak + peak(pid))
    return found


def between(before: dict[str, Cost], after: dict[str, Cost]) -> dict[str, Cost]:
    """Return for each process what it used between two snapshots, without Pushpin's idle runner."""
    return {name: cost.since(before.get(name)) for name, cost in after.items() if name != RUNNER}
