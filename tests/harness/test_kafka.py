"""The harness's Kafka does what the tests of the chain rely on."""

import pytest
from confluent_kafka import Producer

pytestmark = pytest.mark.acceptance


def test_kafka_topic_can_be_made_grown_and_trimmed(kafka):
    """Each helper returns when its effect can be seen."""
    name = kafka.create_topic(partitions=2)
    kafka.produce(name, b"a", b"b", partition=1)
    assert kafka.end_offsets(name) == {0: 0, 1: 2}
    kafka.add_partitions(name, 3)
    assert kafka.topics()[name] == 3
    kafka.delete_records(name, {1: 1})
    assert kafka.start_offsets(name) == {0: 0, 1: 1, 2: 0}
    assert kafka.read_all(name) == [(1, 1, b"b")]
    kafka.delete_topic(name)
    assert name not in kafka.topics()


def test_kafka_asked_for_an_unknown_topic_does_not_make_it(kafka):
    """As in production: whoever asks for a topic must not bring it into being."""
    kafka.admin.list_topics("never-made", timeout=5)
    assert "never-made" not in kafka.topics()


def test_kafka_takes_large_records(kafka, topic):
    """Records that are too big to publish have to get into Kafka first."""
    kafka.produce(topic, b"x" * 5_000_000)
    assert kafka.end_offsets(topic)[0] == 1


def test_own_kafka_keeps_its_data_and_address_when_it_is_killed(own_kafka):
    """What a fault does to the broker is over when it has started again."""
    name = own_kafka.create_topic(partitions=1)
    address = own_kafka.bootstrap
    own_kafka.produce(name, b"a")
    own_kafka.kill()
    assert not own_kafka.has_leaders()
    own_kafka.start()
    own_kafka.produce(name, b"b")
    assert [value for _, _, value in own_kafka.read_all(name)] == [b"a", b"b"]
    assert own_kafka.bootstrap == address


@pytest.mark.parametrize("commit", [True, False])
def test_kafka_transaction_is_read_only_when_committed(kafka, topic, commit):
    """One broker is enough for transactions, and aborted records are not read."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    if commit:
        producer.commit_transaction(10)
    else:
        producer.abort_transaction(10)
    assert [value for _, _, value in kafka.read_all(topic)] == ([b"x"] if commit else [])


def test_mock_kafka_writes_reads_and_starts_empty(mock_kafka):
    """The mock cluster serves a test by itself, and knows nothing of the one before."""
    assert mock_kafka.topics() == {}
    name = mock_kafka.create_topic("anything")
    mock_kafka.produce(name, b"a", partition=3)
    assert mock_kafka.read_all(name) == [(3, 0, b"a")]
