"""The ways from Kafka to the clients that are measured: this project's, and what is done in place of it."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from kafkasse import pushpin_options
from tests.benchmarks.names import FASTAPI, KAFKA_SSE, OURS, PLAIN, RAW, STOCK
from tests.benchmarks.swarm import Load
from tests.benchmarks.workloads import Workload
from tests.benchmarks.writer import Plan, Writer
from tests.harness import stock_pushpin
from tests.harness.environment import PYTHON, clean, manage
from tests.harness.kafka import KafkaBroker
from tests.harness.kafka_admin import KafkaAdmin
from tests.harness.kafka_jars import CACHE
from tests.harness.ports import free_port, free_port_pair
from tests.harness.processes import Process, listening

# Latency is measured with a broker that has room; the harness' own is made small for tests.
BROKER = {"num.network.threads": "3", "num.io.threads": "8"}
SCRATCH = "scratch"  # a topic that nobody listens to
SCRATCH_RECORDS, SCRATCH_ROUNDS = 400_000, 4  # records, producers
KAFKA_SSE_MODULES = CACHE / "kafka-sse" / "node_modules"  # where scripts/bench installs it
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
    command: Callable[[Load], list[str]] = Load.swarm_command  # what the clients are
    path: str = "/events/{topic}/"

    def path_of(self, topic: str) -> str:
        """Return the path of a topic's events."""
        return self.path.replace("{topic}", topic)


class RunningKafka(KafkaAdmin):
    """A cluster that runs already, and keeps nothing of what was created on it."""

    def __init__(self, bootstrap: str) -> None:
        """Note where it is."""
        super().__init__(bootstrap)
        self._created: list[str] = []

    def create_topics(self, names: list[str], partitions: int = 4) -> None:
        """Create them, and remember that."""
        super().create_topics(names, partitions)
        self._created += names

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete all that was created."""
        for name in self._created:
            self.delete_topic(name)


@contextmanager
def broker(running: str = "") -> Iterator[KafkaAdmin]:
    """Run a broker that serves all the runs, or use the one at `running`."""
    if running:
        with RunningKafka(running) as cluster:
            warm_broker(cluster)
            yield cluster
        return
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        KafkaBroker(Path(folder), properties=BROKER, optimized=True) as kafka,
    ):
        warm_broker(kafka)
        yield kafka


def broker_of(kafka: KafkaAdmin) -> list[Process]:
    """Return the broker's process, where it is ours: what it costs is counted."""
    return [kafka.process] if isinstance(kafka, KafkaBroker) else []


def warm_broker(kafka: KafkaAdmin) -> None:
    """Let Java compile the broker's paths: the first records through a fresh one take several times as long.

    Many at once for the flat-out workloads, and one by one for the paced ones: those are many small requests.
    """
    kafka.create_topics([SCRATCH], Workload.partitions)
    for _ in range(SCRATCH_ROUNDS):
        Writer(kafka.bootstrap, SCRATCH).write(Plan(SCRATCH_RECORDS // SCRATCH_ROUNDS))
    kafka.read_all(SCRATCH)
    kafka.ping_pong(SCRATCH, SETTLED)


@dataclass(frozen=True)
class Topics:
    """The topic to measure, the one for the warm-up, and those that are there besides."""

    measured: str
    warm: str
    idle: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return self.measured, self.warm, *self.idle


def new_topics(kafka: KafkaAdmin, number: int, workload: Workload) -> Topics:
    """Create the topics of a run."""
    idle = tuple(f"idle-{number}-{each}" for each in range(workload.topics - 1))
    found = Topics(f"measured-{number}", f"warm-up-{number}", idle)
    kafka.create_topics(list(found.all), workload.partitions)
    return found


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

    def start_stock_pushpin(self) -> None:
        """Start Pushpin with the limits that it comes with."""
        options = pushpin_options.Options(
            run_dir=self.folder / "run",
            port=self.port,
            origin=f"127.0.0.1:{self.origin}",
            publish_port=self.publish,
        )
        self.start("pushpin", stock_pushpin.prepare(options), self.port)


@contextmanager
def ours(kafka: KafkaAdmin, number: int, workload: Workload) -> Iterator[Chain]:
    """Run this project's chain for new topics."""
    topics = new_topics(kafka, number, workload)
    with ExitStack() as stack:
        # The topics of earlier runs are nobody's business any more.
        pattern = {"KAFKASSE_TOPIC_PATTERN": f"(measured|warm-up|idle)-{number}(-[0-9]+)?"}
        parts = Parts(stack, f"bench-{number}", kafka.bootstrap, **pattern)
        parts.start("app", manage("runserver", "--noreload", f"127.0.0.1:{parts.origin}"), parts.origin)
        parts.start_pushpin()
        parts.start("relay", manage("relay"))
        yield chain(OURS, parts, kafka, topics, "open")


@contextmanager
def plain(kafka: KafkaAdmin, number: int, workload: Workload, *, tuned: bool = True) -> Iterator[Chain]:
    """Run the chain of one item per record for new topics."""
    topics = new_topics(kafka, number, workload)
    with ExitStack() as stack:
        parts = Parts(stack, "-", kafka.bootstrap)
        module = [PYTHON, "-m", "tests.benchmarks.plain"]
        parts.start("app", [*module, "app", str(parts.origin)], parts.origin)
        (parts.start_pushpin if tuned else parts.start_stock_pushpin)()
        parts.start("relay", [*module, "relay", kafka.bootstrap, str(parts.publish), *topics.all])
        yield chain(PLAIN if tuned else STOCK, parts, kafka, topics, "head")


@contextmanager
def fastapi(kafka: KafkaAdmin, number: int, workload: Workload) -> Iterator[Chain]:
    """Run an application that reads Kafka and holds the clients itself."""
    topics = new_topics(kafka, number, workload)
    with ExitStack() as stack:
        parts = Parts(stack, "-", kafka.bootstrap)
        command = [
            PYTHON,
            "-m",
            "tests.benchmarks.fastapi_peer",
            str(parts.port),
            kafka.bootstrap,
            *topics.all,
        ]
        parts.start("app", command, parts.port)
        yield chain(FASTAPI, parts, kafka, topics, "head")


@contextmanager
def kafka_sse(kafka: KafkaAdmin, number: int, workload: Workload) -> Iterator[Chain]:
    """Run KafkaSSE, which has a consumer for each client; needs Node, and what `scripts/bench` installs."""
    topics = new_topics(kafka, number, workload)
    with ExitStack() as stack:
        parts = Parts(stack, "-", kafka.bootstrap)
        parts.environment["NODE_PATH"] = str(KAFKA_SSE_MODULES)
        script = Path(__file__).with_name("kafka_sse") / "peer.js"
        parts.start("app", ["node", str(script), str(parts.port), kafka.bootstrap], parts.port)
        yield chain(KAFKA_SSE, parts, kafka, topics, "head")


@contextmanager
def raw(kafka: KafkaAdmin, number: int, workload: Workload) -> Iterator[Chain]:
    """Run nothing but the broker: the clients read it."""
    topics = new_topics(kafka, number, workload)

    def command(load: Load) -> list[str]:
        topic = load.path.split("/")[2]
        options = (f"--expect={load.expect}", f"--timeout={load.timeout}")
        return [PYTHON, "-m", "tests.benchmarks.raw", kafka.bootstrap, topic, *options]

    yield Chain(RAW, 0, kafka.bootstrap, topics.measured, topics.warm, "", broker_of(kafka), command)


def chain(name: str, parts: Parts, kafka: KafkaAdmin, topics: Topics, ready: str) -> Chain:
    """Return the chain of these parts."""
    processes = [*parts.processes, *broker_of(kafka)]
    return Chain(name, parts.port, kafka.bootstrap, topics.measured, topics.warm, ready, processes)


Start = Callable[[KafkaAdmin, int, Workload], AbstractContextManager[Chain]]
CHAINS: dict[str, Start] = {
    OURS: ours,
    PLAIN: plain,
    STOCK: partial(plain, tuned=False),
    FASTAPI: fastapi,
    KAFKA_SSE: kafka_sse,
    RAW: raw,
}
MOST_CLIENTS = {RAW: 1, KAFKA_SSE: 100}
"""How many clients a chain can take: of a thousand consumers in one process nothing is left to measure."""


def found() -> list[str]:
    """Return the chains that can be run here."""
    built = shutil.which("node") and (KAFKA_SSE_MODULES / "kafka-sse").is_dir()
    return [name for name in CHAINS if name != KAFKA_SSE or built]
