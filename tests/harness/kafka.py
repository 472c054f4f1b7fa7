"""A real Kafka broker, one process in KRaft mode, for tests."""

import base64
import shutil
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.harness import kafka_jars
from tests.harness.environment import clean
from tests.harness.kafka_admin import KafkaAdmin
from tests.harness.ports import free_port
from tests.harness.processes import Process, listening

READY_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
# The internal topics of a single broker have one replica, and everything that usually waits minutes waits moments.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more_listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more_advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{more_protocols}
log.dirs={data}
auto.create.topics.enable={auto_create}
num.partitions=4
message.max.bytes=20000000
offsets.topic.num.partitions=5
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=500
log.cleaner.enable=true
log.cleaner.backoff.ms=200
log.cleaner.min.cleanable.ratio=0.01
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
background.threads=2
"""
JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
# A broker that lives for minutes never earns back what its best compiler costs: it took a core of two for as long.
QUICK_JVM = "-XX:TieredStopAtLevel=1"


class KafkaBroker(KafkaAdmin):
    """A broker on loopback ports of its own, with its data in `folder`, which outlive a stop or a kill.

    `properties` are added to the broker's; the last of two with the same name counts.  `links` are ports by a name in capital
    letters: clients that come through one of them, by a `Link` to `listeners[name]`, are told to come back through it.

    `optimized` lets Java use its best compiler, too: for a broker that is warmed up before it is measured.  `archive_to` is
    where its end leaves an archive of the classes that it has loaded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        auto_create: bool = False,
        links: dict[str, int] | None = None,
        properties: dict[str, str] | None = None,
        optimized: bool = False,
        archive_to: Path | None = None,
    ) -> None:
        """Write the configuration; nothing runs yet."""
        self.port, self.folder = free_port(), folder
        super().__init__(f"127.0.0.1:{self.port}")
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "server.properties"
        links = links or {}
        self.listeners = {name: free_port() for name in links}
        more = "".join(f"{name}={value}\n" for name, value in (properties or {}).items())
        text = PROPERTIES.format(
            port=self.port,
            controller_port=free_port(),
            data=folder / "data",
            auto_create=str(auto_create).lower(),
            more_listeners="".join(f",{name}://127.0.0.1:{at}" for name, at in self.listeners.items()),
            more_advertised="".join(f",{name}://127.0.0.1:{at}" for name, at in links.items()),
            more_protocols="".join(f",{name}:PLAINTEXT" for name in links),
        )
        self._config.write_text(text + more)
        compiler = () if optimized else (QUICK_JVM,)
        archive = (f"-XX:ArchiveClassesAtExit={archive_to}",) if archive_to else self._archive()
        command = [*self._java(), *archive, *compiler, "kafka.Kafka", str(self._config)]
        self.process = Process(
            command, clean(), folder / "kafka.log", "kafka", ready=self._is_ready, ready_timeout=READY_TIMEOUT
        )

    def _java(self) -> list[str]:
        return [kafka_jars.java(), *JVM, "-cp", kafka_jars.classpath()]

    @staticmethod
    def _archive() -> tuple[str, ...]:
        """Return how Java is told of the archive of classes (`tests.harness.kafka_archive`), where there is one."""
        path = kafka_jars.archive()
        return (f"-XX:SharedArchiveFile={path}",) if path.exists() else ()

    def _is_ready(self) -> bool:
        return listening(self.port)() and self.has_leaders()

    def start(self, *, wait: bool = True) -> Self:
        """Start it, for the first time or again, and wait until every partition has a leader."""
        if not (self.folder / "data").exists():
            self._format()
        self.process.start(wait=wait)
        return self

    def _format(self) -> None:
        """Make the storage of a new broker; Kafka's tool, which takes a second of Java's time, is run for the first one."""
        formatted, data = kafka_jars.formatted(), self.folder / "data"
        if formatted.exists():
            shutil.copytree(formatted, data)
            return
        self._run_format()
        with tempfile.TemporaryDirectory(dir=formatted.parent) as scratch:
            shutil.copytree(data, Path(scratch, "data"))
            with suppress(OSError):  # another run was faster
                Path(scratch, "data").rename(formatted)

    def _run_format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        tool = [QUICK_JVM, "kafka.tools.StorageTool", "format", "-t", cluster]
        done = subprocess.run(
            [*self._java(), *self._archive(), *tool, "-c", str(self._config)],
            capture_output=True,
            env=clean(),
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stderr.decode()[-3000:]}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop it in order (SIGTERM)."""
        self.process.terminate(timeout)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop it if it runs, and start it on the same ports and data."""
        if self.process.alive:
            self.stop()
        return self.start()

    def pause(self) -> None:
        """Let it hang (SIGSTOP): connections stay open, nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on."""
        self.process.resume()

    def __enter__(self) -> Self:
        """Start it."""
        try:
            return self.start()
        except BaseException:
            self.process.close()
            raise

    def __exit__(self, *_: object) -> None:
        """Stop it, whatever state it is in."""
        self.process.close()
