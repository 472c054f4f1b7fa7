"""librdkafka's mock cluster, with the calls that Python's client does not offer: topics of any size, faults, counts."""

import ctypes
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition

from kafkasse import cursor
from kafkasse.offsets import metadata
from tests.harness.kafka_admin import KafkaAdmin, quiet

PRODUCER = 0
BROKER = 1
METADATA, OFFSET_COMMIT, OFFSET_FETCH = 3, 8, 9
"""Kafka's numbers of its requests."""

Pointer, Text, Int, Size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
SIGNATURES = {
    "conf_new": (Pointer,),
    "conf_set": (Int, Pointer, Text, Text, Pointer, Size),
    "new": (Pointer, Int, Pointer, Pointer, Size),
    "handle_mock_cluster": (Pointer, Pointer),
    "mock_cluster_bootstraps": (Text, Pointer),
    "mock_group_initial_rebalance_delay_ms": (None, Pointer, ctypes.c_int32),
    "mock_topic_create": (Int, Pointer, Text, Int, Int),
    "mock_broker_set_down": (Int, Pointer, ctypes.c_int32),
    "mock_broker_set_up": (Int, Pointer, ctypes.c_int32),
    "mock_broker_set_rtt": (Int, Pointer, ctypes.c_int32, Int),
    "mock_partition_delete_records": (Int, Pointer, Text, ctypes.c_int32, ctypes.c_int64),
    "mock_start_request_tracking": (None, Pointer),
    "mock_clear_requests": (None, Pointer),
    "mock_get_requests": (Pointer, Pointer, ctypes.POINTER(Size)),
    "mock_request_api_key": (ctypes.c_int16, Pointer),
    "mock_request_destroy_array": (None, Pointer, Size),
    "destroy": (None, Pointer),
}


def library() -> ctypes.CDLL:
    """Return librdkafka, as confluent_kafka brings it along, with the types of what is called here."""
    folder = Path(confluent_kafka.__file__).parent
    found = [*folder.parent.glob("confluent_kafka.libs/librdkafka*"), *folder.glob(".dylibs/librdkafka*")]
    loaded = ctypes.CDLL(str(found[0]))
    for name, (result, *arguments) in SIGNATURES.items():
        function = getattr(loaded, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


class MockKafka(KafkaAdmin):
    """One broker inside this process, empty and up at once; `group` is the relay's, for `config` and `commit`."""

    def __init__(self, group: str = "views") -> None:
        """Start it."""
        self.group, self._library = group, library()
        conf = self._library.rd_kafka_conf_new()
        for name, value in {b"test.mock.num.brokers": b"1", b"log_level": b"0"}.items():
            assert self._library.rd_kafka_conf_set(conf, name, value, None, 0) == 0
        self._owner = self._library.rd_kafka_new(PRODUCER, conf, None, 0)
        self._cluster = self._library.rd_kafka_handle_mock_cluster(self._owner)
        # Who joins a group would wait for three seconds whether others do, too.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        super().__init__(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())
        self._producer = Producer({"bootstrap.servers": self.bootstrap, **quiet()})
        self._relay = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "allow.auto.create.topics": False,
                **quiet(),
            }
        )

    @property
    def config(self) -> dict[str, str]:
        """The consumer's configuration that leads here."""
        return {"bootstrap.servers": self.bootstrap, "group.id": self.group}

    def close(self) -> None:
        """Stop it."""
        self._producer.flush(1)
        self._relay.close()
        self._library.rd_kafka_destroy(self._owner)

    def create_topic(
        self, name: str = "", partitions: int = 4, config: Mapping[str, str] | None = None
    ) -> str:
        """Create a topic, under a name of its own unless given one, and return the name; it has no settings."""
        assert not config
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        assert self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1) == 0
        return name

    def write(self, topic: str, records: Iterable[tuple[int, bytes | None]], *, time: int = 0) -> None:
        """Write (partition, value) records of one time (0: now), in ms, and wait until they are there."""
        for partition, value in records:
            self._producer.produce(topic, value, partition=partition, timestamp=time)
            self._producer.poll(0)
        assert self._producer.flush(10) == 0

    def commit(
        self, topic: str, positions: Mapping[int, int], *, wait: bool = True, whole: bool = False
    ) -> None:
        """Commit positions for the group, as the relay does after a publish; of a `whole` topic, if it is one."""
        # Of a topic that has no id, as none has here.
        text = metadata(cursor.tag(topic), rests=False, whole=whole)
        asked = [TopicPartition(topic, *place, text) for place in positions.items()]
        self._relay.commit(offsets=asked, asynchronous=not wait)

    def forget_before(self, topic: str, partition: int, offset: int) -> None:
        """Take the records before `offset` out of the log, as retention does."""
        found = self._library.rd_kafka_mock_partition_delete_records(
            self._cluster, topic.encode(), partition, offset
        )
        assert found == 0

    def down(self) -> None:
        """Close all connections and take no new ones."""
        assert self._library.rd_kafka_mock_broker_set_down(self._cluster, BROKER) == 0

    def up(self) -> None:
        """Be there again."""
        assert self._library.rd_kafka_mock_broker_set_up(self._cluster, BROKER) == 0

    def delay(self, milliseconds: int) -> None:
        """Let every answer take so long; 0 ends it."""
        assert self._library.rd_kafka_mock_broker_set_rtt(self._cluster, BROKER, milliseconds) == 0

    def start_counting(self) -> None:
        """Count requests from now on."""
        self._library.rd_kafka_mock_start_request_tracking(self._cluster)
        self._library.rd_kafka_mock_clear_requests(self._cluster)

    def counted(self) -> Counter[int]:
        """Return how many requests of each kind came since."""
        count = Size()
        found = self._library.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(count))
        requests = ctypes.cast(found, ctypes.POINTER(Pointer))
        kinds = Counter(
            self._library.rd_kafka_mock_request_api_key(requests[each]) for each in range(count.value)
        )
        self._library.rd_kafka_mock_request_destroy_array(found, count)
        return kinds
