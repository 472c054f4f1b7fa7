"""What Java has made of Kafka's classes, kept in the git-ignored `.cache/`: `python -m tests.harness.kafka_archive`.

A broker loads some six thousand classes, which takes half of its start's processor time; the tests start twenty of them.
With an archive (Java's class data sharing) they are mapped into memory: 2.2 s of processor time in place of 4.3.
"""

import tempfile
from pathlib import Path

from confluent_kafka import Consumer

from tests.harness import kafka_jars
from tests.harness.kafka import KafkaBroker
from tests.harness.kafka_admin import quiet

RECORDS = 100
DUMPED = 60.0  # seconds


def make() -> Path:
    """Return the archive's path, after a broker that has done a little of everything, unless the archive is there."""
    path = kafka_jars.archive()
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            fresh = Path(scratch, path.name)
            with KafkaBroker(Path(scratch, "kafka"), archive_to=fresh) as broker:
                _use(broker)
                broker.stop(DUMPED)
            fresh.rename(path)
    return path


def _use(broker: KafkaBroker) -> None:
    """Have the broker load what it needs for topics, writing, reading and groups."""
    topic = broker.create_topic()
    broker.produce(topic, *(b"x" for _ in range(RECORDS)))
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": "archive", "auto.offset.reset": "earliest"}
    reader = Consumer({**settings, **quiet()})
    try:
        reader.subscribe([topic])
        assert len(reader.consume(RECORDS, 10)) == RECORDS
        reader.commit(asynchronous=False)
    finally:
        reader.close()
    broker.end_offsets(topic)


if __name__ == "__main__":
    print(make())
