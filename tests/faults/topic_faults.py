"""What happens to a topic and its log."""

from tests.faults.registry import fault
from tests.faults.world import World
from tests.harness.wait import until

# A segment ends after half a second of records, and what has ended is compacted.
COMPACTED = {"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01"}
KEPT = {"cleanup.policy": "delete"}


@fault("topic", "kafka", quick=True)
def transaction_aborted(world, _chance, _thorough):
    """In all partitions, after it was open for 3 s: what follows waits, and nothing of it is sent."""
    producer = world.kafka.producer(transactional_id=world.topic)
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in range(world.writer.partitions):
        producer.produce(world.topic, b"never to be seen", partition=partition)
    producer.flush(30)
    world.last(3)
    producer.abort_transaction(30)


@fault("topic", "kafka")
def partitions_added(world, _chance, _thorough):
    """Two, which are written to at once."""
    more = world.writer.partitions + 2
    world.kafka.add_partitions(world.topic, more)
    world.writer.widen(more)
    world.last(2)


@fault("topic", "kafka", quick=True)
def records_deleted(world, _chance, _thorough):
    """All that are there, three times; who has not got them yet is told so."""
    for _ in range(3):
        world.fate.deleted = world.kafka.end_offsets(world.topic)
        world.kafka.delete_records(world.topic, world.fate.deleted)
        world.last(1.5)


@fault("topic", "kafka", "clients", quick=True)
def log_compacted(world, _chance, _thorough):
    """To the newest record of each of nine keys; meanwhile all connections end three times, and nobody is told anything."""
    world.kafka.configure_topic(world.topic, COMPACTED)
    until(lambda: _has_holes(world), 30, "Kafka has compacted all partitions", 0.2)
    for _ in range(3):
        world.front.cut()
        world.last(1.5)
    world.kafka.configure_topic(world.topic, KEPT)
    world.last(1)  # until the cleaner knows
    world.fate.compacted = world.kafka.end_offsets(world.topic)


def _has_holes(world: World) -> bool:
    """Say whether each partition's log has fewer records than offsets up to its newest record."""
    offsets: dict[int, list[int]] = {partition: [] for partition in range(world.writer.partitions)}
    for partition, offset, _value in world.kafka.read_all(world.topic):
        offsets[partition].append(offset)
    return all(found and len(found) <= found[-1] for found in offsets.values())


@fault("topic", "kafka")
def topic_created_again(world, _chance, _thorough):
    """At once after it was deleted, and written to from 0 on; who listens is told so."""
    _create_again(world, 0)


@fault("topic", "kafka")
def topic_deleted(world, _chance, _thorough):
    """For 8 s, and then created again."""
    _create_again(world, 8)


def _create_again(world: World, seconds: float) -> None:
    """Delete the topic, and have another one of its name written to so many seconds later."""
    world.writer.stop()
    world.kafka.delete_topic(world.topic)
    world.last(seconds)
    world.kafka.create_topic(world.topic, world.writer.partitions)
    world.fate.earlier.append(world.writer.begin_again())
    world.writer.start()
