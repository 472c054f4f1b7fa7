"""What is measured: each workload is one topic, and what is promised for it."""

from dataclasses import dataclass
from typing import Any

from tests.benchmarks.writer import Plan


@dataclass(frozen=True)
class Goal:
    """Deliveries per second at the least, or a latency and a silence at the most; None where it says nothing of one."""

    per_s: int | None = None
    p50_ms: int | None = None
    p99_ms: int | None = None
    silence_ms: int | None = None

    def __str__(self) -> str:
        """Return it in words, for the table."""
        parts = [
            self.per_s and f"≥ {self.per_s:,}/s",
            self.p50_ms and f"p50 ≤ {self.p50_ms} ms",
            self.p99_ms and f"p99 ≤ {self.p99_ms} ms",
            self.silence_ms and f"silence < {self.silence_ms / 1000:g} s",
        ]
        return ", ".join(part for part in parts if part)

    def met(self, counted: dict[str, Any]) -> bool:
        """Return whether what the clients counted is as good."""
        silence = counted["silence_ms"] or 0
        return (
            counted["deliveries_per_s"] >= (self.per_s or 0)
            and counted["p50_ms"] <= (self.p50_ms or float("inf"))
            and counted["p99_ms"] <= (self.p99_ms or float("inf"))
            and silence < (self.silence_ms or float("inf"))
        )


NO_GOAL = Goal()


@dataclass(frozen=True)
class Workload:
    """`clients` that each get `records` records of `size` bytes, written at `rate` per second (0: flat out).

    The topic has so many `partitions`, and is one of `topics`, to the others of which nobody listens.  What is `promised` is
    kept on any machine like those of the tables; to `reach` is what this project sets itself.
    """

    name: str
    clients: int
    records: int
    rate: int = 0
    promised: Goal = NO_GOAL
    reach: Goal = NO_GOAL
    size: int = 128
    partitions: int = 4
    topics: int = 1

    @property
    def plan(self) -> Plan:
        """What the writer is to do."""
        return Plan(self.records, self.rate, self.partitions, self.size)

    @property
    def flat_out(self) -> bool:
        """Whether throughput is measured, not latency."""
        return not self.rate


MAIN = [
    Workload("1x100000", 1, 100_000, promised=Goal(100_000), reach=Goal(150_000)),
    Workload("100x20000", 100, 20_000, promised=Goal(600_000), reach=Goal(850_000)),
    Workload("1000x2000", 1000, 2_000, promised=Goal(500_000), reach=Goal(750_000)),
    Workload("100x1000ps", 100, 10_000, 1000, Goal(p50_ms=20, p99_ms=60), Goal(p50_ms=8, p99_ms=20)),
    Workload("1000x50ps", 1000, 500, 50, Goal(p50_ms=100, p99_ms=250), Goal(p50_ms=60, p99_ms=120)),
    Workload("20x100ps", 20, 1_000, 100, Goal(p50_ms=8, p99_ms=15, silence_ms=2000)),
]
SHAPES = [
    Workload("10000x1ps", 10_000, 20, 1, size=1024),
    Workload("100B", 100, 20_000, size=100),
    Workload("1KB", 100, 10_000, size=1024),
    Workload("10KB", 100, 2_000, size=10_240),
    Workload("100KB", 100, 200, size=102_400),
    Workload("1-partition", 100, 20_000, partitions=1),
    Workload("32-partitions", 100, 20_000, partitions=32),
    Workload("100-topics", 100, 10_000, 1000, topics=100),
    Workload("1000-topics", 100, 10_000, 1000, topics=1000),
]
BLOCKS = {"benchmark": MAIN, "shapes": SHAPES}
"""Which workloads stand in which block of the page."""


def continuous(counted: dict[str, Any]) -> bool:
    """Return whether nothing was lost, repeated or out of order (None: the program does not count it)."""
    return not any(counted[key] for key in ("missing", "lost", "repeated", "out_of_order", "failed"))
