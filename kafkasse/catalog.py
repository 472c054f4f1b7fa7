"""What topics there are: how many partitions each has, and which topic it is.

A topic that was deleted and created again has the same name and the same offsets, but other records.  Kafka tells the
two apart by an id (KIP-516, brokers from 2.8 on), and so does the tag that stands in ids of events and names of channels.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from kafkasse import cursor
from kafkasse.renewal import Renewal, give_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Consumer

UNKNOWN = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)  # noqa: SLF001
"""What is said of a topic or a partition that does not exist."""
MOCK = "mockCluster"
"""What the id of librdkafka's mock cluster begins with."""
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""The id of a topic whose broker gives none: sixteen times zero, in base64."""


class Topic(NamedTuple):
    """A topic as it is now: its tag, and the number of its partitions, from 0 on."""

    tag: str
    partitions: int


def is_mock(metadata: Any) -> bool:
    """Say whether a cluster is librdkafka's mock, which has neither topic ids nor times, and leaves it at silence."""
    return str(metadata.cluster_id).startswith(MOCK)


class Catalog:
    """The topics of a cluster.  Blocks for as long as it is told; raises what librdkafka raises."""

    def __init__(self, consumer: Consumer, config: Mapping[str, Any]) -> None:
        """Use `consumer`, which somebody else owns, where an admin client has no answer; one is made of `config`."""
        self._consumer = consumer
        self._config = {**config, "log_level": 0}
        self._admin: AdminClient | None = None
        self._renewal = Renewal()
        self._mock: bool | None = None

    def topics(self, names: Iterable[str], timeout: float) -> dict[str, Topic]:
        """Return those of `names` that exist.  Asking does not create them."""
        asked = list(names)
        if self._mock is None and asked:
            self._mock = is_mock(self._consumer.list_topics(asked[0], timeout))
        if self._mock:
            return self._without_ids(asked, timeout)
        return self.collected(self.ask(asked, timeout), timeout)

    def ask(self, names: Iterable[str], timeout: float) -> dict[str, Future[Any]]:
        """Return the answers to come, by name; none from a mock cluster.  `collected` reads them."""
        if self._mock or not (asked := list(names)):
            return {}
        if self._admin is None:
            self._admin, self._renewal = AdminClient(self._config), Renewal()
        found: dict[str, Future[Any]] = self._admin.describe_topics(
            TopicCollection(asked), request_timeout=timeout
        )
        return found

    def collected(self, answers: Mapping[str, Future[Any]], timeout: float) -> dict[str, Topic]:
        """Return the topics that exist, of those that `ask` asked for."""
        try:
            found = _collected(answers, timeout)
        except KafkaException as error:
            if self._renewal.failed(error, time.monotonic()):
                give_up(self._admin)
                self._admin = None
            raise
        self._renewal.came()
        return found

    def _without_ids(self, names: Iterable[str], timeout: float) -> dict[str, Topic]:
        found = {}
        for name in names:
            metadata = self._consumer.list_topics(name, timeout).topics[name]
            if metadata.error is None:
                found[name] = Topic(cursor.tag(name), len(metadata.partitions))
            elif metadata.error.code() not in UNKNOWN:
                raise KafkaException(metadata.error)
        return found


def _collected(answers: Mapping[str, Future[Any]], timeout: float) -> dict[str, Topic]:
    if wait(answers.values(), timeout).not_done:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own name for it
    found = {}
    for name, answer in answers.items():
        try:
            described = answer.result(0)
        except KafkaException as error:
            if error.args[0].code() not in UNKNOWN:
                raise
        else:
            topic_id = str(described.topic_id)
            tag = cursor.tag(name, "" if topic_id == NO_ID else topic_id)
            found[name] = Topic(tag, len(described.partitions))
    return found
