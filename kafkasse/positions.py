"""What the relay has committed, and where the logs begin and end.

Nothing here joins a group, commits, or creates a topic.  Every call ends with the time of its request
(`kafkasse.deadline`), with `KafkaUnavailableError` when the brokers did not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kafkasse import cursor, deadline, topics
from kafkasse.catalog import Catalog, Topic, is_mock
from kafkasse.conf import conf
from kafkasse.exceptions import ConfigurationError, KafkaUnavailableError, TopicChangedError
from kafkasse.offsets import LATEST, Committed, committed, ends, offsets
from kafkasse.once import Once
from kafkasse.renewal import Renewal, give_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import Message

    from kafkasse.sse import Headers
    from kafkasse.topics import Key

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.05
AWAY_SECONDS = 0.25
"""How long a request waits where the last look-up failed: many ask then, and the proxy has few at a time in progress."""
RESTS = 2
"""After a look-up, the next one waits for so many times as long as it took: in a herd, more then share the next answer."""
LONGEST_REST = 0.03

RETRIED = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
"""What a broker says of a partition that was created, or moved, a moment ago."""

DEFAULTS: dict[str, Any] = {
    # Answer with what is there: a page is a bounded read, and somebody waits for it.
    "fetch.wait.max.ms": 5,
    # librdkafka's second of back-off, after its queue was full, costs a page two thirds of its speed.
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 2048,
    "fetch.message.max.bytes": 524_288,
    "reconnect.backoff.max.ms": 1000,
    # What goes wrong is said once for each request that it concerns, not for each attempt to connect.
    "log_level": 2,
    "log.connection.close": False,
}
OWNED: dict[str, Any] = {
    # A record that is not there any more has to be seen, not skipped.
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "allow.auto.create.topics": False,
    "socket.connection.setup.timeout.ms": 2000,
}
RELAYS_OWN = frozenset({"group.instance.id", "group.protocol", "group.remote.assignor", "topic.blacklist"})


def consumer() -> Consumer:
    """Return a consumer that never joins the relay's group, though it bears its name.

    Raises `ConfigurationError` for a setting that librdkafka does not know or take.
    """
    try:
        return Consumer({**DEFAULTS, **_theirs(), **OWNED}, logger=logger)
    except (KafkaException, TypeError, ValueError) as error:
        raise refused(error) from error


def _theirs() -> dict[str, Any]:
    return {name: value for name, value in conf.KAFKA_CONSUMER_CONFIG.items() if name not in RELAYS_OWN}


def refused(error: Exception) -> ConfigurationError:
    """Return what to raise for a configuration that librdkafka does not take."""
    what = error.args[0].str() if isinstance(error, KafkaException) else error
    return ConfigurationError(f"KAFKA_CONSUMER_CONFIG is refused by librdkafka: {what}")


def headers_of(message: Message) -> Headers:
    """Return a record's headers, or none when one of their names is not UTF-8: the client library cannot read them."""
    try:
        return cast("Headers", message.headers())
    except (UnicodeDecodeError, SystemError):
        return None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of some topics: the tag of each, and the relay's position in each of their partitions.

    A position is None where none is committed.  A topic that does not exist yet is treated as one with a partition 0
    that is still empty: the first record that is ever written to it is then what its holds wait for.  A `whole` topic has
    one chain for all of its partitions.
    """

    tags: dict[str, str]
    positions: dict[Key, int | None]
    missing: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()


class Lookup:
    """Committed positions of a group, asked for once for all requests that arrive before the question is put.

    The positions are the truth that relay and views share, so an answer that was under way when a request arrived is
    too old for it; one that has not begun yet is not.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._open()
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafkasse-lookup")
        self._waiting: dict[tuple[str, ...], Future[Known]] = {}
        self._failure: Exception | None = None
        self._rests_until = 0.0

    def _open(self) -> None:
        self._consumer = consumer()
        self._catalog = Catalog(self._consumer, {**DEFAULTS, **_theirs()})
        self._heard: dict[str, Topic] = {}
        self._renewal = Renewal()

    def committed(self, names: tuple[str, ...]) -> Known:
        """Return what is known of the topics that are called so."""
        with self._lock:
            if not self._waiting:
                self._thread.submit(self._answer)
            future = self._waiting.setdefault(names, Future())
        try:
            return future.result(deadline.left(AWAY_SECONDS if self._failure else deadline.SECONDS))
        except FutureTimeoutError as error:
            raise KafkaUnavailableError from self._failure or error
        except KafkaException as error:
            raise KafkaUnavailableError from error

    def require(self, tags: Mapping[str, str]) -> None:
        """Raise `TopicChangedError` unless the topics are still those with these tags.

        A log is asked for by its topic's name, a while after the tag was: for who does not find there what he looks for, it
        may be the log of another topic, which was created in the meantime, or none.
        """
        if self.committed(tuple(tags)).tags != tags:
            raise TopicChangedError

    def ends(self, partitions: Iterable[Key], which: int) -> dict[Key, int]:
        """Return where the log of each partition begins (`EARLIEST`) or ends (`LATEST`)."""
        return {key: max(0, place) for key, place in self.at(partitions, which).items()}

    def at(self, partitions: Iterable[Key], milliseconds: int) -> dict[Key, int]:
        """Return the offset of each partition's first record from a time on, negative where there is none."""
        asked = [TopicPartition(*key) for key in partitions]
        end = time.monotonic() + deadline.left()
        while True:
            try:
                return offsets(self._consumer, asked, milliseconds, deadline.until(end))
            except KafkaException as error:
                if error.args[0].code() not in RETRIED or time.monotonic() > end:
                    raise KafkaUnavailableError from error
                time.sleep(RETRY_SECONDS)

    def _answer(self) -> None:
        """Answer all who wait by now; whoever comes later waits for the next call."""
        self._sleep(max(0.0, self._rests_until - self._clock()))
        with self._lock:
            asked, self._waiting = self._waiting, {}
        began = self._clock()
        try:
            with deadline.begun():
                answers = self._ask(list(asked))
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            self._failure = error
            for future in asked.values():
                future.set_exception(error)
            self._renew_after(error)
        else:
            self._failure = None
            self._renewal.came()
            for names, future in asked.items():
                future.set_result(answers[names])
        now = self._clock()
        self._rests_until = now + min(LONGEST_REST, RESTS * (now - began))

    def _renew_after(self, error: Exception) -> None:
        """Ask by other clients from now on, where these get no answers any more."""
        if isinstance(error, KafkaException) and self._renewal.failed(error, self._clock()):
            logger.warning("Kafka has not answered for long: asking anew", extra={"action": "renew"})
            give_up(self._consumer, self._catalog)
            self._open()

    def _ask(self, asked: list[tuple[str, ...]]) -> dict[tuple[str, ...], Known]:
        """Ask for all topics at once, then for all positions."""
        found = self._catalog.topics({name for names in asked for name in names}, deadline.left())
        self._make_known(found)
        tags = {name: topic.tag for name, topic in found.items()}
        partitions = [
            TopicPartition(name, each) for name, topic in found.items() for each in range(topic.partitions)
        ]
        places = self._positions(partitions, tags) if partitions else {}
        return {names: _known(names, found, places) for names in asked}

    def _positions(
        self, partitions: list[TopicPartition], tags: Mapping[str, str]
    ) -> dict[Key, Committed | None]:
        """Return the relay's positions; of a partition that rests, where its log ends: there it will go on."""
        found = committed(self._consumer, partitions, deadline.left(), tags)
        resting = [TopicPartition(*key) for key, place in found.items() if place and place.rests]
        now = ends(self._consumer, resting, LATEST, deadline.left()) if resting else {}
        return {
            key: place and replace(place, position=max(place.position, now.get(key, 0)))
            for key, place in found.items()
        }

    def _make_known(self, found: Mapping[str, Topic]) -> None:
        """Have the consumer hear of what is new: it would take a partition that it does not know for an empty one."""
        for name, topic in found.items():
            if self._heard.get(name) != topic:
                self._consumer.list_topics(name, deadline.left())
                self._heard[name] = topic

    def topics(self) -> list[str]:
        """Return the names of the topics that are served, in order."""
        names = self._metadata().topics
        return sorted(name for name in names if topics.is_public(name, conf.KAFKASSE_TOPIC_PATTERN))

    def knows_times(self) -> bool:
        """Say whether the broker can look up a time; librdkafka's mock cluster finds nothing for any."""
        return not is_mock(self._metadata())

    def _metadata(self) -> Any:
        """Return what librdkafka says of the cluster, a `ClusterMetadata`."""
        # In the thread of the look-ups: librdkafka makes metadata requests wait for each other, beyond their time-outs.
        asked = self._thread.submit(self._consumer.list_topics, timeout=deadline.SECONDS)
        try:
            return asked.result(deadline.left())
        except (FutureTimeoutError, KafkaException) as error:
            asked.cancel()
            raise KafkaUnavailableError from error


def _known(
    names: tuple[str, ...], found: Mapping[str, Topic], places: Mapping[Key, Committed | None]
) -> Known:
    tags: dict[str, str] = {}
    positions: dict[Key, int | None] = {}
    whole = set()
    for name in names:
        topic = found.get(name, Topic(cursor.tag(name), 1))
        tags[name] = topic.tag
        here = {(name, each): places.get((name, each)) for each in range(topic.partitions)}
        positions |= {key: place.position if place else None for key, place in here.items()}
        if all(place and place.whole for place in here.values()):
            whole.add(name)
    return Known(tags, positions, frozenset(names) - found.keys(), frozenset(whole))


@Once
def lookup() -> Lookup:
    """Return this process's look-up, made at the first request: librdkafka's threads do not survive a fork."""
    return Lookup()
