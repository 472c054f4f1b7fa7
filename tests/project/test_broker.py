"""`manage.py broker`: a real process, a real port, nothing but Python behind it."""

import signal
import subprocess

import pytest
from confluent_kafka import Consumer, Producer

from tests.harness.environment import PROJECT, clean, manage

ENVIRONMENT = {
    "SECRET_KEY": "of-the-tests",
    "GRIP_URL": "http://127.0.0.1:1",
    "KAFKA_CONSUMER_CONFIG": '{"bootstrap.servers": "127.0.0.1:1", "group.id": "nobody"}',
}


@pytest.fixture
def topics():
    """Return the arguments of the command."""
    return []


@pytest.fixture
def broker(topics):
    """Start the command."""
    command = manage("broker", *topics)
    with subprocess.Popen(
        command, cwd=PROJECT, env=clean(ENVIRONMENT), stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_broker_takes_records_and_gives_them_back(broker):
    """To other processes, at the address that it writes first."""
    address = broker.stdout.readline().strip()
    producer = Producer({"bootstrap.servers": address})
    producer.produce("t", b"value", b"key")
    assert producer.flush(10) == 0

    consumer = Consumer({"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["t"])
    try:
        record = consumer.poll(20)
        assert record is not None
        assert (record.key(), record.value(), record.error()) == (b"key", b"value", None)
        assert len(consumer.list_topics("t", 10).topics["t"].partitions) == 4
    finally:
        consumer.close()


@pytest.mark.parametrize("topics", [["one", "two"]])
def test_broker_begins_with_the_topics_that_are_named(broker):
    """Before it says where it is, so that whoever hears of it finds them."""
    address = broker.stdout.readline().strip()
    consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
    known = consumer.list_topics(timeout=10).topics
    consumer.close()
    assert {name: len(topic.partitions) for name, topic in known.items()} == {"one": 4, "two": 4}


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_broker_ends_with_a_signal(broker, ending):
    """Without a word, and as a success."""
    assert broker.stdout.readline().startswith("127.0.0.1:")
    broker.send_signal(ending)
    assert broker.wait(5) == 0
    assert broker.stdout.read() == ""
