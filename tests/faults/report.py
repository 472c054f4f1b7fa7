"""What came of the faults, as a table."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.report import machine, markers, table_row, write_between_markers
from tests.faults.audience import KINDS
from tests.faults.judge import WORDS, Verdict

SHOWN = 3
HEAD = "| fault | what | seconds | longest silence s | delivered | again | found |\n|---|---|--:|--:|--:|--:|---|"


@dataclass
class Outcome:
    """What came of one fault, or of several at the same time: at all clients together."""

    name: str
    what: list[str]
    seconds: float = 0.0
    silence: float = 0.0
    delivered: int = 0
    again: int = 0
    found: Counter[str] = field(default_factory=Counter)
    _seen: list[str] = field(default_factory=list)

    def add(self, kind: str, verdict: Verdict) -> None:
        """Take what was found at a client."""
        self.delivered += verdict.delivered
        self.again += verdict.again
        for word, seen in verdict.found.items():
            self.found[word] += len(seen)
            self._seen += [f"  {word}, a client that {KINDS[kind]}: {each}" for each in seen[:SHOWN]]

    def harm(self, word: str, kind: str, seen: str) -> None:
        """Take what was found by other means."""
        self.add(kind, Verdict({word: [seen]}))

    def seen(self) -> list[str]:
        """Return examples of what was found."""
        return self._seen[: 3 * SHOWN]


def findings(found: Counter[str]) -> str:
    """Return in words what was found."""
    return ", ".join(f"{count} {word}" for word, count in found.items()) or "nothing"


def line(outcome: Outcome) -> str:
    """Return the row of an outcome."""
    cells = [
        outcome.name,
        " ".join(outcome.what),
        f"{outcome.seconds:.1f}",
        f"{outcome.silence:.1f}",
        f"{outcome.delivered:,}",
        f"{outcome.again:,}",
        findings(outcome.found),
    ]
    return table_row(cells)


def write(path: Path, outcomes: list[Outcome], seed: int) -> None:
    """Write the table, with when and where it was made, between the markers of a page."""
    words = "\n".join(f"- *{word}*: {meaning}" for word, meaning in WORDS.items())
    table = "\n".join([HEAD, *map(line, outcomes)])
    text = f"{machine()}. Seed {seed}.\n\n{table}\n\nWhat is looked for, at every client:\n\n{words}\n"
    write_between_markers(path, text, markers("faults"))


def write_mix(path: Path, outcomes: list[Outcome], seed: int) -> None:
    """Write what came of a random mix, with when and where it was made, between the markers of a page."""
    pairs = sum(len(outcome.what) > 1 for outcome in outcomes)
    delivered = sum(outcome.delivered for outcome in outcomes)
    silent = max(outcomes, key=lambda outcome: outcome.silence)
    found = sum((outcome.found for outcome in outcomes), Counter())
    text = (
        f"{machine()}. Seed {seed}.\n\n"
        f"{len(outcomes)} episodes, {pairs} of them with two faults at a time; {delivered:,} records delivered. "
        f"The longest silence was {silent.silence:.1f} s ({silent.name}). Found: {findings(found)}.\n"
    )
    write_between_markers(path, text, markers("mix"))
