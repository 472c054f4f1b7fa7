"""Measures the relay alone: `scripts/bench relay [--records N] [--markdown FILE]`.

How fast does it make up for what was written in its absence: where somebody listens to all of it, with a sink in place of
the proxy, so that nothing but the relay and the broker is measured; and where nobody listens, as Pushpin tells.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zmq
from confluent_kafka import Consumer

from kafkasse import topics
from kafkasse.catalog import Catalog
from tests.benchmarks.chains import broker
from tests.benchmarks.cost import snapshot
from tests.benchmarks.report import add_markdown, machine, show
from tests.benchmarks.writer import Plan, Writer
from tests.harness.environment import PYTHON, clean
from tests.harness.kafka import KafkaBroker
from tests.harness.ports import free_port_pair
from tests.harness.processes import Process, end_on_sigterm, listening
from tests.harness.stack import Options, Stack
from tests.harness.wait import until

TIMEOUT = 300.0  # seconds
LOOK = 0.01  # seconds
HEAD = "| who listens | records | seconds from the start | of these, CPU | records/s of CPU |\n|---|--:|--:|--:|--:|"


@dataclass(frozen=True)
class Figures:
    """What making up for `records` took: `seconds` from the relay's start, and `cpu` seconds, without those of a start."""

    records: int
    seconds: float
    cpu: float

    def row(self, who: str) -> str:
        """Return the line of the table; where next to no CPU is used, its share says nothing."""
        per_cpu = f"{self.records / self.cpu:,.0f}" if self.cpu >= LOOK * 10 else "-"
        return f"| {who} | {self.records:,} | {self.seconds:.2f} | {self.cpu:.2f} | {per_cpu} |"


def catch_up(kafka: KafkaBroker, stack: Stack, topic: str, records: int) -> Figures:
    """Let the relay be away while `records` are written, and return what making up for them took."""
    (relay,) = stack.relays
    relay.start()
    until(
        lambda: len(kafka.committed(stack.group, topic)) == Plan.partitions, TIMEOUT, "the group begins here"
    )
    start = snapshot([relay])[relay.name].cpu
    relay.terminate()
    Writer(kafka.bootstrap, topic).write(Plan(records))
    began = time.monotonic()
    relay.start(wait=False)
    until(lambda: kafka.has_committed_all(stack.group, topic), TIMEOUT, "all is committed", LOOK)
    seconds = time.monotonic() - began
    cpu = snapshot([relay])[relay.name].cpu
    return Figures(records, seconds, cpu - start)


@contextmanager
def sink(channel: str) -> Iterator[str]:
    """Run a server that takes every publish and says yes, and that somebody listens to a channel; return its URL."""
    port = free_port_pair()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [PYTHON, "-m", "tests.benchmarks.relay", "--sink", str(port), "--channel", channel]
        with Process(command, clean(), Path(folder, "sink.log"), "sink", ready=listening(port)):
            yield f"http://127.0.0.1:{port}"


def measure(kafka: KafkaBroker, folder: Path, records: int) -> dict[str, Figures]:
    """Return the figures by who listens."""
    found = {}
    topic = kafka.create_topic("heard")
    with sink(whole_channel(kafka, topic)) as url:
        options = Options(relay_env={"GRIP_URL": url, "KAFKASSE_TOPIC_PATTERN": topic})
        with closing(Stack(kafka, folder / "heard", options)) as stack:
            found["everybody"] = catch_up(kafka, stack, topic, records)
    topic = kafka.create_topic("unheard")
    with closing(Stack(kafka, folder / "unheard", Options(env={"KAFKASSE_TOPIC_PATTERN": topic}))) as stack:
        stack.pushpin.start()
        found["nobody"] = catch_up(kafka, stack, topic, records)
    return found


def whole_channel(kafka: KafkaBroker, topic: str) -> str:
    """Return the name of the channel of a topic."""
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "bench"}
    with closing(Consumer(config)) as consumer:
        return topics.channel(topic, Catalog(consumer, config).topics([topic], TIMEOUT)[topic].tag, None)


def serve(port: int, channel: str) -> None:
    """Be the sink; its news of subscriptions are on the next port, as Pushpin's are."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with zmq.Context() as context, context.socket(zmq.SUB) as subscriptions:
        subscriptions.bind(f"tcp://127.0.0.1:{port + 1}")
        subscriptions.subscribe(channel)
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # ZeroMQ tells a new peer what is subscribed to while the socket is asked for something.
        while True:
            subscriptions.recv()


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench relay", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--records", type=int, default=2_000_000, help="how many are written; 128 bytes each")
    add_markdown(parser)
    parser.add_argument("--sink", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--channel", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure, print and write."""
    asked = options()
    if asked.sink:
        serve(asked.sink, asked.channel)
    end_on_sigterm()
    with broker() as kafka, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measure(kafka, Path(folder), asked.records)
    rows = [figures.row(who) for who, figures in found.items()]
    text = "\n".join([f"{machine()}. Records of 128 bytes, 4 partitions.\n", HEAD, *rows, ""])
    show(text, asked.markdown, "relay")
    return 0


if __name__ == "__main__":
    sys.exit(main())
