"""The two ways from Kafka to the clients that are measured: this project's, and one item per record."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.plain import PARTITIONS
from tests.benchmarks.report import OURS, PLAIN
from tests.benchmarks.writer import Plan, Writer
from tests.harness.environment import PYTHON, clean, manage
from tests.harness.kafka import KafkaBroker
from tests.harness.ports import free_port, free_port_pair
from tests.harness.processes import Process, listening

# Latency is measured with a broker that has room; the harness' own is made small for tests.
BROKER = {"num.network.threads": "3", "num.io.threads": "8"}
SCRATCH = "scratch"  # a topic that nobody listens to
SCRATCH_RECORDS, SCRATCH_ROUNDS = 400_000, 4  # records, producers
SETTLED = (
    12_000  # records written and read one by one; after so many, Java's compilers have little left to do
)


@dataclass(frozen=True)
class Chain:
    """A running chain: where clients connect, what is to be written where, and which processes work in it."""

    name: str
    port: int
    bootstrap: str
    topic: str
    warm: str  # a second topic, for the warm-up
    ready: str  # how a client knows that it is held
    processes: list[Process]


@contextmanager
def broker() -> Iterator[KafkaBroker]:
    """Run a broker that serves all the runs."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        KafkaBroker(Path(folder), properties=BROKER, optimized=True) as kafka,
    ):
        warm_broker(kafka)
        yield kafka


def warm_broker(kafka: KafkaBroker) -> None:
    """Let Java compile the broker's paths: the first records through a fresh one take several times as long.

    Many at once for the flat-out workloads, and one by one for the paced ones: those are many small requests.
    """
    kafka.create_topic(SCRATCH, PARTITIONS)
    for _ in range(SCRATCH_ROUNDS):
        Writer(kafka.bootstrap, SCRATCH).write(Plan(SCRATCH_RECORDS // SCRATCH_ROUNDS))
    kafka.read_all(SCRATCH)
    kafka.ping_pong(SCRATCH, SETTLED)


def new_topics(kafka: KafkaBroker, number: int) -> tuple[str, str]:
    """Create the topic to measure and the one for the warm-up, and return their names."""
    names = (f"measured-{number}", f"warm-up-{number}")
    for name in names:
        kafka.create_topic(name, PARTITIONS)
    return names


def environment(bootstrap: str, group: str, publish: int, **more: str) -> dict[str, str]:
    """Return the settings of the project's processes."""
    return clean(
        {
            "SECRET_KEY": "benchmark",
            "KAFKA_CONSUMER_CONFIG": json.dumps({"bootstrap.servers": bootstrap, "group.id": group}),
            "GRIP_URL": f"http://127.0.0.1:{publish}",
            **more,
        }
    )


class Parts:
    """Starts the processes of a chain one after another and ends them with the block."""

    def __init__(self, stack: ExitStack, group: str, bootstrap: str, **more: str) -> None:
        """Choose the ports; nothing runs yet."""
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self.origin, self.port, self.publish = free_port(), free_port(), free_port_pair()
        self.environment = environment(bootstrap, group, self.publish, **more)
        self.processes: list[Process] = []
        self._stack = stack

    def start(self, name: str, command: list[str], port: int | None = None) -> None:
        """Start a process and wait until it listens on `port`."""
        ready = listening(port) if port else None
        log = self.folder / f"{name}.log"
        process = Process(command, self.environment, log, name, ready=ready)
        self.processes.append(self._stack.enter_context(process))

    def start_pushpin(self) -> None:
        """Start Pushpin as this project tunes it."""
        options = (
            f"--port={self.port}",
            f"--publish-port={self.publish}",
            f"--run-dir={self.folder / 'run'}",
        )
        self.start("pushpin", manage("pushpin", f"--origin=127.0.0.1:{self.origin}", *options), self.port)


@contextmanager
def ours(kafka: KafkaBroker, number: int) -> Iterator[Chain]:
    """Run this project's chain for two new topics."""
    topic, warm = new_topics(kafka, number)
    with ExitStack() as stack:
        # The topics of earlier runs are nobody's business any more.
        pattern = {"KAFKASSE_TOPIC_PATTERN": f"{topic}|{warm}"}
        parts = Parts(stack, f"bench-{number}", kafka.bootstrap, **pattern)
        parts.start("app", manage("runserver", "--noreload", f"127.0.0.1:{parts.origin}"), parts.origin)
        parts.start_pushpin()
        parts.start("relay", manage("relay"))
        yield Chain(OURS, parts.port, kafka.bootstrap, topic, warm, "open", [*parts.processes, kafka.process])


@contextmanager
def plain(kafka: KafkaBroker, number: int) -> Iterator[Chain]:
    """Run the chain of one item per record for two new topics."""
    topic, warm = new_topics(kafka, number)
    with ExitStack() as stack:
        parts = Parts(stack, "-", kafka.bootstrap)
        module = [PYTHON, "-m", "tests.benchmarks.plain"]
        parts.start("app", [*module, "app", str(parts.origin)], parts.origin)
        parts.start_pushpin()
        parts.start("relay", [*module, "relay", kafka.bootstrap, str(parts.publish), topic, warm])
        yield Chain(
            PLAIN, parts.port, kafka.bootstrap, topic, warm, "head", [*parts.processes, kafka.process]
        )
