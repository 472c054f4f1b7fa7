"""The limit: a consumer with nothing behind it, `python -m tests.benchmarks.raw BOOTSTRAP TOPIC --expect N`.

Prints "ready" when it reads, and what it counted in the form of `swarm`: the same client library as the relay's, in one
process, and no record is looked at before the last one has come.
"""

import argparse
import itertools
import json
import statistics
import time

from confluent_kafka import Consumer, TopicPartition

from tests.benchmarks.cost import peak
from tests.harness.kafka_admin import quiet

BATCH = 10_000  # records


def consumer(bootstrap: str, topic: str) -> Consumer:
    """Return a consumer that stands at the end of all partitions."""
    made = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "raw",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,  # as the relay has it
            "fetch.wait.max.ms": 5,
            **quiet(),
        }
    )
    partitions = made.list_topics(topic, 10).topics[topic].partitions
    ends = [made.get_watermark_offsets(TopicPartition(topic, each), 10)[1] for each in partitions]
    made.assign([TopicPartition(topic, each, end) for each, end in zip(partitions, ends, strict=True)])
    return made


def read(reader: Consumer, expect: int, timeout: float) -> list[tuple[int, bytes]]:
    """Return the values that came, each with when it did, in ns since the epoch."""
    found: list[tuple[int, bytes]] = []
    end = time.monotonic() + timeout
    while len(found) < expect and time.monotonic() < end:
        first = reader.poll(0.1)
        batch = [] if first is None else [first, *reader.consume(BATCH, 0)]
        now = time.time_ns()
        found += [(now, message.value() or b"{}") for message in batch if not message.error()]
    return found


def counted(found: list[tuple[int, bytes]], expect: int) -> dict[str, object]:
    """Return what there is to say of the records, as the clients' program says it."""
    latencies = sorted((at - json.loads(value).get("t", at)) / 1e6 for at, value in found) or [0.0]
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    times = [at for at, _ in found] or [0]
    seconds = max((times[-1] - times[0]) / 1e9, 1e-9)
    return {
        "clients": 1,
        "failed": 0,
        "complete": int(len(found) >= expect),
        "delivered": len(found),
        "expected": expect,
        "missing": expect - len(found),
        "lost": 0,
        "repeated": 0,
        "out_of_order": 0,
        "deliveries_per_s": round(len(found) / seconds),
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "silence_ms": max((later - earlier for earlier, later in itertools.pairwise(times)), default=0) / 1e6,
        "cpu_s": time.process_time(),
        "rss_kb": peak() // 1024,
    }


def main() -> None:
    """Read, and print what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--expect", type=int, required=True, help="records")
    parser.add_argument("--timeout", type=float, default=60, help="seconds")
    asked = parser.parse_args()
    reader = consumer(asked.bootstrap, asked.topic)
    reader.poll(0.2)
    print("ready", flush=True)
    found = read(reader, asked.expect, asked.timeout)
    reader.close()
    print(json.dumps(counted(found, asked.expect)), flush=True)


if __name__ == "__main__":
    main()
