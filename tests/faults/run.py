"""Runs faults, each under a writer and clients of five kinds, and says what came of it; `scripts/faults --help`."""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.report import add_markdown
from tests.faults import faults as _parts  # noqa: F401 - what it defines is in `FAULTS`
from tests.faults import topic_faults as _topics  # noqa: F401 - this too
from tests.faults.audience import Audience
from tests.faults.judge import Fate, judge
from tests.faults.records import CheckedWriter
from tests.faults.registry import FAULTS, Fault
from tests.faults.report import Outcome, line, write, write_mix
from tests.faults.world import PARTITIONS, World
from tests.harness.processes import end_on_sigterm

RATE = 100  # records a second; with more, one process of twenty clients is what is slow
EACH = 4  # clients of each kind
BEFORE = 1.0  # seconds of records before a fault, so that there is something to lose
BACK = 60.0  # seconds after a fault in which everybody has to get what is written then
# Pushpin 1.36 may leave a client that fell behind alone for 45 s, and for 20 s more with what was written last.
ALL = 75.0
BOTH = 0.3  # how often two faults come at the same time, in a mix


def episode(
    world: World, topic: str, faults: list[Fault], chance: random.Random, *, thorough: bool
) -> Outcome:
    """Let faults happen to a topic that nobody has used."""
    outcome = Outcome(" and ".join(fault.name for fault in faults), [fault.what for fault in faults])
    writer = CheckedWriter(world.kafka.bootstrap, topic, PARTITIONS, rate=RATE)
    with Audience(world.url(topic), EACH, chance) as audience, writer:
        world.topic, world.writer, world.fate = topic, writer, Fate()
        writer.wait_total(int(BEFORE * RATE), 30)
        late = audience.wait_arrived(world.tag(), writer.acknowledged, BACK)
        began = time.time_ns()
        audience.cut_off()
        _hurt(world, faults, chance, thorough=thorough)
        world.mend()
        outcome.seconds = (time.time_ns() - began) / 1e9
        late += audience.wait_arrived(world.tag(), {p: sent - 1 for p, sent in writer.sent.items()}, BACK)
        last = writer.stop()
        audience.settle()
        # To the logs' ends: a transaction has offsets that are no records, so that numbers would be reached too early.
        ends = world.kafka.end_offsets(topic)
        audience.wait_arrived(world.tag(), {partition: end - 1 for partition, end in ends.items()}, ALL)
        outcome.silence = audience.silence(began)
        for kind, client in audience.all:
            outcome.add(kind, judge(client.events, topic, writer.sent, last, world.fate))
        for kind, client in late:
            outcome.harm("silent death", kind, client.describe()[:300])
    return outcome


def _hurt(world: World, faults: list[Fault], chance: random.Random, *, thorough: bool) -> None:
    """Let all of them happen at the same time, and wait until they are over; raise what the first one to fail raises."""
    failed: list[BaseException] = []

    def happen(fault: Fault) -> None:
        try:
            fault.hurt(world, random.Random(chance.random()), thorough)  # noqa: S311 - chance, no secret
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that runs all this
            failed.append(error)

    threads = [threading.Thread(target=happen, args=(fault,), name=fault.name) for fault in faults]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def mixed(chance: random.Random, minutes: float) -> Iterator[list[Fault]]:
    """Yield faults at random, now and then two at a time that concern different parts, until the time is over."""
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        one, other = chance.sample(list(FAULTS.values()), 2)
        yield [one, other] if chance.random() < BOTH and one.parts.isdisjoint(other.parts) else [one]


def chosen(asked: argparse.Namespace, chance: random.Random) -> Iterator[list[Fault]]:
    """Yield what was asked for."""
    if asked.only:
        if unknown := {*asked.only} - {*FAULTS}:
            sys.exit(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(FAULTS)}")
        yield from ([FAULTS[name]] for name in asked.only)
    elif asked.minutes:
        yield from mixed(chance, asked.minutes)
    else:
        yield from ([fault] for fault in FAULTS.values() if fault.quick or not asked.quick)


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="FAULT", help="may be given several times"
    )
    parser.add_argument("--minutes", type=float, default=0, metavar="N", help="a random mix, for so long")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="of what is left to chance"
    )
    parser.add_argument("--quick", action="store_true", help="half of them, in less than four minutes")
    parser.add_argument("--thorough", action="store_true", help="longer, and more often")
    add_markdown(parser)
    return parser.parse_args()


def main() -> int:
    """Run, print and write; return the exit code, 1 when anything was wrong."""
    asked = options()
    end_on_sigterm()
    print(f"seed {asked.seed}", flush=True)
    chance = random.Random(asked.seed)  # noqa: S311 - to be repeated
    outcomes = []
    topics = len(asked.only) or max(len(FAULTS), int(6 * asked.minutes))
    with (
        tempfile.TemporaryDirectory(prefix="kafkasse-faults-") as folder,
        World(Path(folder), topics) as world,
    ):
        for topic, faults in zip(world.topics, chosen(asked, chance), strict=False):
            outcomes.append(episode(world, topic, faults, chance, thorough=asked.thorough))
            print(line(outcomes[-1]), *outcomes[-1].seen(), sep="\n", flush=True)
            if outcomes[-1].found:
                print(*(f"--- {part.name}\n{part.tail()}" for part in world.parts), sep="\n", flush=True)
    if asked.markdown:
        (write_mix if asked.minutes else write)(asked.markdown, outcomes, asked.seed)
    wrong = [outcome.name for outcome in outcomes if outcome.found]
    print(
        f"{len(outcomes)} episodes, {sum(o.delivered for o in outcomes):,} records delivered; wrong: {wrong or 'nothing'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Everything has ended; but an admin client's destructor may wait for ever for a thread of librdkafka (2.16).
    os._exit(code)
