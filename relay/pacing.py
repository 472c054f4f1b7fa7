"""When to publish next.

Pure; time is an argument.  One flush of one connection costs the proxy's single-threaded handler some 40 µs, one more
event in the same flush 1 to 2 µs.  So a relay that publishes whenever it has something drowns the proxy in flushes, and
one that waits adds latency for nothing.  How long a publish takes to be acknowledged tells how busy the handler is, with
nothing to configure: the relay rests for at least as long, and for several times as long as the publish had to wait for the
item before it to be flushed.  A full body says that there is more to publish: then it rests no longer than that.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.chunks import BODY_BYTES

SHORTEST = 0.006
LONGEST = 0.5
"""The limits of a rest, in seconds."""
REST_PER_WAIT = 4
"""How many times as long as publishes wait for the handler the relay rests: they are to find it free, or nearly so."""
ANSWER = 0.001
ANSWER_PER_BYTE = 15e-9
"""How long a handler that is free takes for a publish, in seconds: that is no waiting, and large ones take longer."""
SMOOTHING = 0.3
"""The weight of the newest publish in the averages; one slow publish shall not stop the stream for as long."""
OUTLIER = 2
SMALL = 0.01
"""A wait counts as this many times the average at the most, or as so many seconds: one alone tells of no load."""


@dataclass(slots=True)
class Pacer:
    """The smoothed duration of a publish, how much of it was waiting, in seconds, and when the next one is due."""

    average: float = 0.0
    wait: float = 0.0
    due: float = float("-inf")

    def published(self, started: float, ended: float, size: int = 0) -> None:
        """Take note of a publish of `size` bytes, by the times of a clock in seconds."""
        took = ended - started
        waited = max(0.0, took - ANSWER - ANSWER_PER_BYTE * size)
        self.average += SMOOTHING * (took - self.average)
        self.wait += SMOOTHING * (min(waited, max(SMALL, OUTLIER * self.wait)) - self.wait)
        room = 1 - size / BODY_BYTES
        self.due = ended + min(LONGEST, max(SHORTEST, self.average, room * REST_PER_WAIT * self.wait))

    def rest(self, now: float) -> float:
        """Return for how many seconds to rest before the next publish; what has passed since the last one counts."""
        return max(0.0, self.due - now)
