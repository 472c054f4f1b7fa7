"""What tests do to a cluster besides reading and writing: topics, partitions, offsets, groups."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from kafkasse.offsets import RESTS
from tests.harness.wait import until

TIMEOUT = 15.0


def quiet() -> dict[str, Any]:
    """Return the settings that keep a client from writing about a broker which a test has stopped."""
    return {"log_level": 0, "error_cb": lambda _error: None, "reconnect.backoff.max.ms": 200}


class KafkaAdmin:
    """Calls on one cluster; each returns when its effect can be seen."""

    def __init__(self, bootstrap: str) -> None:
        """Note where the cluster is; nothing connects yet."""
        self.bootstrap = bootstrap
        self._admin: AdminClient | None = None
        self._writer: Producer | None = None

    @property
    def admin(self) -> AdminClient:
        """A client for calls that have no helper here; it survives restarts of the broker."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, **quiet()})
        return self._admin

    def producer(self, **settings: Any) -> Producer:
        """Return an idempotent producer; underscores in the names of settings stand for dots."""
        more = {name.replace("_", "."): value for name, value in settings.items()}
        base = {"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 2}
        return Producer({**base, **quiet(), **more})

    def produce(
        self, topic: str, *values: bytes | None, partition: int = 0, key: bytes | None = None
    ) -> None:
        """Write values to one partition and return once the broker has them all."""
        refused: list[object] = []
        if self._writer is None:  # kept: an idempotent producer's first record takes a second
            self._writer = self.producer(message_max_bytes=20_000_000)
        producer = self._writer
        producer.list_topics(topic, TIMEOUT)  # or it would not know partitions that were added since
        for value in values:
            producer.produce(
                topic,
                value,
                key,
                partition=partition,
                on_delivery=lambda error, _: refused.append(error) if error else None,
            )
        left = producer.flush(TIMEOUT)
        assert not refused, f"refused: {refused[:3]}"
        assert not left, f"not within {TIMEOUT:g} s: {left} records written"

    # --- topics ---------------------------------------------------------------------------------------------------

    def has_leaders(self) -> bool:
        """Say whether the cluster answers and every partition has a leader."""
        try:
            found = self.admin.list_topics(timeout=2)
        except KafkaException:
            return False
        partitions = [p for topic in found.topics.values() for p in topic.partitions.values()]
        return bool(found.brokers) and all(partition.leader >= 0 for partition in partitions)

    def topics(self) -> dict[str, int]:
        """Return how many partitions each topic has, internal ones included."""
        found = self.admin.list_topics(timeout=TIMEOUT).topics
        return {name: len(topic.partitions) for name, topic in found.items() if not topic.error}

    def topic_id(self, name: str) -> str:
        """Return the id that Kafka gave to a topic when it was created."""
        answer = self.admin.describe_topics(TopicCollection([name]))[name]
        return str(answer.result(TIMEOUT).topic_id)

    def create_topic(
        self, name: str = "", partitions: int = 4, config: Mapping[str, str] | None = None
    ) -> str:
        """Create a topic, under a name of its own unless given one, and return the name."""
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        self._done(self.admin.create_topics([NewTopic(name, partitions, 1, config=dict(config or {}))]))
        self._wait_partitions(name, partitions)
        return name

    def create_topics(self, names: list[str], partitions: int = 4) -> None:
        """Create several topics at once."""
        self._done(self.admin.create_topics([NewTopic(name, partitions, 1) for name in names]))
        self._wait_partitions(names[-1], partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        self._done(self.admin.delete_topics([name]))
        until(lambda: name not in self.topics(), TIMEOUT, f"topic {name} is gone")

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions: `total` of them."""
        self._done(self.admin.create_partitions([NewPartitions(name, total)]))
        self._wait_partitions(name, total)

    def configure_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's settings."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        self._done(self.admin.incremental_alter_configs([resource]))

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Delete what lies before an offset, for each partition named; -1 means everything."""
        self._done(self.admin.delete_records([TopicPartition(name, p, o) for p, o in before.items()]))

    def _wait_partitions(self, name: str, count: int) -> None:
        """Wait until the broker leads them too: it hears of it a little after whoever asks for metadata."""

        def led() -> bool:
            try:
                return self.topics().get(name) == count and len(self.end_offsets(name)) == count
            except KafkaException:
                return False

        until(led, TIMEOUT, f"topic {name} has {count} partitions")

    @staticmethod
    def _done(futures: Mapping[Any, Any]) -> None:
        for future in futures.values():
            future.result(TIMEOUT)

    # --- offsets and groups -----------------------------------------------------------------------------------------

    def end_offsets(self, name: str) -> dict[int, int]:
        """Return for each partition the offset that the next record will get."""
        return self._offsets(name, OffsetSpec.latest())

    def start_offsets(self, name: str) -> dict[int, int]:
        """Return for each partition the first offset that is still there."""
        return self._offsets(name, OffsetSpec.earliest())

    def _offsets(self, name: str, spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(name, p): spec for p in range(self.topics()[name])}
        found = self.admin.list_offsets(wanted)
        return {where.partition: future.result(TIMEOUT).offset for where, future in found.items()}

    def committed(self, group: str, name: str) -> dict[int, int]:
        """Return the offsets that a group has committed for a topic; partitions without one are left out."""
        return {each.partition: each.offset for each in self._committed(group, name) if each.offset >= 0}

    def resting(self, group: str, name: str) -> set[int]:
        """Return the partitions of a topic of which a group has committed that nobody listens to them."""
        return {each.partition for each in self._committed(group, name) if RESTS in (each.metadata or "")}

    def _committed(self, group: str, name: str) -> list[TopicPartition]:
        wanted = [TopicPartition(name, p) for p in range(self.topics()[name])]
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
        found: list[TopicPartition] = asked[group].result(TIMEOUT).topic_partitions
        return found

    def has_committed_all(self, group: str, name: str) -> bool:
        """Say whether a group's positions are the ends of a topic's log; not while nobody knows them."""
        try:
            return self.committed(group, name) == self.end_offsets(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.COORDINATOR_LOAD_IN_PROGRESS:
                raise
            return False

    def group_members(self, group: str) -> dict[str, list[TopicPartition]]:
        """Return the assignment of each member; empty while the group is not stable."""
        found = self.admin.describe_consumer_groups([group])[group].result(TIMEOUT)
        if found.state != ConsumerGroupState.STABLE:
            return {}
        return {member.member_id: member.assignment.topic_partitions for member in found.members}

    def read_all(self, name: str, timeout: float = TIMEOUT) -> list[tuple[int, int, bytes | None]]:
        """Return (partition, offset, value) of every committed record of a topic, by a reader of its own."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"read-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                **quiet(),
            }
        )
        try:
            consumer.assign([TopicPartition(name, p, 0) for p in range(self.topics()[name])])
            return _drained(consumer, timeout)
        finally:
            consumer.close()

    def ping_pong(self, name: str, times: int, timeout: float = 10 * TIMEOUT) -> None:
        """Write a record to the first partition and read it, `times` over, each time with requests of their own."""
        deadline = time.monotonic() + timeout
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 0, **quiet()})
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                **quiet(),
            }
        )
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=timeout)
            consumer.assign([TopicPartition(name, 0, end)])
            for number in range(times):
                producer.produce(name, b"ping", partition=0)
                producer.poll(0)
                assert consumer.poll(timeout), f"record {number} did not come"
                assert time.monotonic() < deadline, f"{number} of {times} within {timeout:g} s"
        finally:
            consumer.close()


def _drained(consumer: Consumer, timeout: float) -> list[tuple[int, int, bytes | None]]:
    """Read until each assigned partition has said that it ends here."""
    found = []
    unread = {where.partition for where in consumer.assignment()}
    deadline = time.monotonic() + timeout
    while unread:
        assert time.monotonic() < deadline, f"not within {timeout:g} s: the end of partitions {unread}"
        for record in consumer.consume(1000, 0.1):
            if not record.error():
                found.append((record.partition(), record.offset(), record.value()))
            elif record.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - so named by the library
                unread.discard(record.partition())
    return found
