"""Writes numbered records to a topic: `python -m tests.benchmarks.writer BOOTSTRAP TOPIC --records N [--rate R]`.

Each value is JSON with `t` (ns since the epoch, taken just before it is handed to the client library), `p` (partition),
`seq` (dense per partition, from `--start`) and `pad`, filled to `--size` bytes.  Prints one line of JSON at the end.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Producer

from tests.benchmarks.cost import peak

QUEUE = 200_000  # records; what librdkafka holds until the broker has them
LINGER_MS = 2  # librdkafka waits this long for more; part of every latency measured
TICK = 0.002  # seconds; with a rate, the records due are written in one go this often


@dataclass(frozen=True)
class Plan:
    """What to write: `records` in all, in turn over `partitions`, `rate` per second (0: flat out)."""

    records: int
    rate: float = 0
    partitions: int = 4
    size: int = 128
    start: int = 0


def numbered(plan: Plan) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, value) for each record of the plan; the time is that of the call."""
    for index in range(plan.records):
        turn, partition = divmod(index, plan.partitions)
        head = b'{"t":%d,"p":%d,"seq":%d,"pad":"' % (time.time_ns(), partition, plan.start + turn)
        yield partition, head.ljust(plan.size - 2, b"x") + b'"}'


class Writer:
    """A producer that waits where librdkafka would refuse, and remembers what the broker refused."""

    def __init__(self, bootstrap: str, topic: str, warm: str = "") -> None:
        """Connect to `bootstrap` and, by a record to the topic `warm`, to its broker: nothing measured waits for that."""
        self.topic = topic
        self.refused = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": LINGER_MS,
                "acks": "all",
                # A retry might repeat what the clients are judged by.  Idempotence would prevent that too, but makes
                # the first records wait for half a second.
                "retries": 0,
                "queue.buffering.max.messages": QUEUE,
            }
        )
        self._producer.list_topics(topic, timeout=30)
        if warm:
            self._producer.produce(warm, b"")
            self._producer.flush(30)

    def _delivered(self, error: object, _message: object) -> None:
        self.refused += error is not None

    def put(self, partition: int, value: bytes) -> None:
        """Hand one record over; blocks while the queue is full."""
        while True:
            try:
                self._producer.produce(self.topic, value, partition=partition, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def write(self, plan: Plan) -> dict[str, float]:
        """Write the plan's records and return once the broker has acknowledged them all."""
        began = time.monotonic()
        for index, (partition, value) in enumerate(numbered(plan)):
            self.put(partition, value)
            if plan.rate:
                self._keep_pace(began, (index + 1) / plan.rate)
            elif index % 1000 == 0:
                self._producer.poll(0)
        left = self._producer.flush(120)
        seconds = time.monotonic() - began
        written = plan.records - self.refused - left
        return {
            "written": written,
            "seconds": round(seconds, 3),
            "per_s": round(written / seconds),
            "cpu_s": round(time.process_time(), 2),
            "rss_kb": peak() // 1024,
        }

    def _keep_pace(self, began: float, due: float) -> None:
        ahead = began + due - time.monotonic()
        if ahead > TICK:
            self._producer.poll(0)
            time.sleep(ahead)


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--warm", default="", help="a topic for a record that makes the connection")
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0, help="records per second; 0: flat out")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--size", type=int, default=128, help="bytes of each value")
    parser.add_argument("--start", type=int, default=0, help="the first number of each partition")
    asked = parser.parse_args()
    plan = Plan(asked.records, asked.rate, asked.partitions, asked.size, asked.start)
    print(json.dumps(Writer(asked.bootstrap, asked.topic, asked.warm).write(plan)), flush=True)


if __name__ == "__main__":
    main()
