"""When to publish next.

Pure; time is an argument.  One flush of one connection costs the proxy's single-threaded handler some 40 µs, one more
event in the same flush 1 to 2 µs.  So a relay that publishes whenever it has something drowns the proxy in flushes, and
one that waits adds latency for nothing.  How long a publish takes to be acknowledged tells how busy the handler is: to
rest for as long keeps it half busy, whatever the load, with nothing to configure.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST = 0.003
LONGEST = 0.5
"""The limits of a rest, in seconds."""
SMOOTHING = 0.3
"""The weight of the newest publish in the average; one slow publish shall not stop the stream for as long."""


@dataclass(slots=True)
class Pacer:
    """The smoothed duration of a publish, in seconds, and when the next one is due."""

    average: float = 0.0
    due: float = float("-inf")

    def published(self, started: float, ended: float) -> None:
        """Take note of a publish, by the times of a clock in seconds."""
        self.average += SMOOTHING * (ended - started - self.average)
        self.due = ended + min(LONGEST, max(SHORTEST, self.average))

    def rest(self, now: float) -> float:
        """Return for how many seconds to rest before the next publish; what has passed since the last one counts."""
        return max(0.0, self.due - now)
