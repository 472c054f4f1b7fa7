"""Reading every topic as a member of a consumer group.

The group's committed offsets are the relay's only memory, and what the views believe: a position is committed when the
items before it have been accepted, and never before.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kafkasse.catalog import Catalog
from kafkasse.exceptions import FencedError, KafkaUnavailableError
from kafkasse.offsets import EARLIEST, LATEST, Committed, committed, ends, fetched_end
from relay import chunks
from relay.commits import Commits
from relay.complaints import SILENT, Complaints, retried
from relay.connection import Connection
from relay.consumer_config import DEFAULTS, OWNED, TIMEOUT, member
from relay.membership import CLOSE_SECONDS, Membership, end
from relay.positions import Positions
from relay.records import by_partition
from relay.resting import Resting, places, read_from
from relay.seeding import seed
from relay.tags import Tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from threading import Event

    from kafkasse.topics import Key
    from relay.chunks import Item, Run

logger = logging.getLogger(__name__)

COMMIT_SECONDS = 0.01
"""How soon the answer to a commit is looked for."""
MAX_RECORDS = 10_000
"""How many records one round reads at the most; `queued.max.messages.kbytes` bounds their size."""


class Source:
    """All public topics, as seen by one member of the group.  For one thread; all that blocks says for how long."""

    def __init__(
        self, config: Mapping[str, Any], instance: str, pattern: str, stop: Event, *, joins: bool = True
    ) -> None:
        self._complaints = Complaints()
        self._config = {**DEFAULTS, **config}
        self._instance, self._pattern, self._stop = instance, pattern, stop
        self._positions = Positions(joins=joins)
        self._appeared: set[str] = set()
        self._held: list[Message] = []
        self._open()

    def _open(self) -> None:
        # A late error of an earlier consumer is none of this one's.
        self._connection, self._commits = Connection(self._complaints), Commits()
        callbacks = {"error_cb": self._connection.take, "on_commit": self._commits.answered}
        self._consumer = member(self._config, self._instance, callbacks)
        self._tags = Tags(Catalog(self._consumer, self._config))
        self._resting = Resting(self._consumer, {**self._config, **OWNED, "logger": SILENT})
        told = self._on_assign, self._on_revoke, self._on_lost
        self._membership = Membership(self._consumer, self._pattern, told)
        self._waiting = False

    # --- start and end -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Seed the group where it is new, and subscribe; raise `KafkaUnavailableError` when Kafka does not answer.

        A new group begins at the end of every log, so that a first start does not publish history.  A group that has a
        position, for any topic, is not new: what has appeared since begins at its first record.
        """
        try:
            new_group = seed(self._consumer, self._pattern)
        except KafkaException as error:
            self._connection.failed()
            raise KafkaUnavailableError(f"Kafka cannot be reached: {error.args[0].str()}") from error
        self._connection.started()
        self._membership.begin(new_group=new_group)

    def close(self) -> None:
        """Commit what is published and end the session; blocks for some 100 ms, or 3 s when Kafka is away."""
        end(self._consumer, self._commits, self._resting).join(CLOSE_SECONDS)

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, timeout: float) -> list[Run]:
        """Return what has been written since, waiting up to `timeout` seconds for the first record.

        Raises `FencedError` when another relay runs under this instance's name.
        """
        if changed := self._tags.changed(self._positions, time.monotonic()):
            self._begin_again(changed)
        # An answer to a commit does not end a poll, and the next commit may have to wait for it.
        patience = COMMIT_SECONDS if self._commits.under_way else timeout
        first = self._consumer.poll(0 if self._held else patience)
        self._commits.send(self._consumer)
        if why := self._connection.look_after(self._consumer, first, has_partitions=bool(self._positions)):
            self._renew(why)
        self._membership.renew(has_partitions=bool(self._positions))
        held, self._held = self._held + ([] if first is None else [first]), []
        if not held:
            return []
        # Asking for many with a time-out would wait for as many; what has been fetched by now is what we want.
        # What was read before a reset belongs to a log that is no more.
        found = by_partition([*held, *self._consumer.consume(MAX_RECORDS, 0)], self._take_error)
        runs = (self._positions.run(key, records, self.tag(key[0])) for key, records in found.items())
        return [run for run in runs if run]

    def wait(self, seconds: float) -> None:
        """Stay a member of the group for `seconds` without reading: what is read waits to be published first."""
        self._consumer.pause(places(self._positions))
        self._waiting = True
        try:
            # A partition that the group gives us meanwhile can be quicker than its pause.
            if (message := self._consumer.poll(seconds)) is not None:
                self._held.append(message)
        finally:
            self._waiting = False
            self._consumer.resume(places(key for key in self._positions if key not in self._resting))
        self._commits.send(self._consumer)
        with suppress(FencedError):  # `read` raises it, or knows better
            self._connection.look_after(self._consumer)

    # --- partitions that nobody listens to ---------------------------------------------------------------------------

    def rest(self, keys: set[Key]) -> None:
        """Read nothing of these partitions until they are woken; `follow` says how far they are."""
        self._resting.begin(keys & self._positions.keys())

    def wake(self, keys: set[Key]) -> None:
        """Read these partitions again, from their position on."""
        woken = self._resting.end(keys)
        self._positions.moved(woken)
        read_from(self._consumer, self._positions, woken)

    def follow(self) -> list[Item]:
        """Return what there is to commit besides what is published; does not block.  All that has been read is, by now.

        Of partitions that rest, or did until now, and of topics that have become a whole, or ceased to be.
        """
        now, mine = time.monotonic(), self._positions
        more = dict.fromkeys(mine.turned(now), 0) | self._resting.grown(mine, now)
        return [chunks.unheard(key, self.tag(key[0]), mine[key], count) for key, count in more.items()]

    # --- what is known of them ---------------------------------------------------------------------------------------

    def tag(self, topic: str) -> str:
        """Return which topic of its name this one is."""
        return self._tags.of(topic)

    def appeared(self) -> set[str]:
        """Return the topics that got partitions, became others, or a whole, since the last call; their holds have to be told."""
        found, self._appeared = self._appeared, set()
        return found | self._positions.due(time.monotonic())

    def whole(self) -> Collection[str]:
        """Return the topics all of whose partitions are this relay's, and that have a chain of their own."""
        return self._positions.whole()

    def vector(self, topic: str) -> list[int]:
        """Return where each partition of such a topic is."""
        return self._positions.vector(topic)

    def positions(self) -> Mapping[Key, int]:
        """Return where this relay's partitions are; not to be changed."""
        return self._positions

    def lag(self) -> int:
        """Return how many offsets this relay's partitions are behind their logs' ends, as far as librdkafka knows."""
        return sum(max(0, fetched_end(self._consumer, key) - place) for key, place in self._positions.items())

    def is_live(self, topic: str) -> bool:
        """Say whether a whole topic has been read to the ends of its logs.

        Kafka was there a moment ago: partitions are ours for no longer than the group's session lasts.
        """
        vector = self.vector(topic)
        return vector == [fetched_end(self._consumer, (topic, each)) for each in range(len(vector))]

    # --- committing --------------------------------------------------------------------------------------------------

    def commit(self, items: Iterable[Item], *, wait: bool = False) -> None:
        """Commit the positions after `items`, in the background unless told to `wait`; see `Commits.send`."""
        self._commits.add(items, self._positions, self._resting, self.whole())
        self._commits.send(self._consumer, wait=wait)

    # --- the group's callbacks, from within poll and consume --------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Start each partition at its committed position; at its first record where there is none."""
        if self._stop.is_set() or consumer is not self._consumer:
            consumer.incremental_assign(partitions)  # for the group's sake: nothing is read any more
            return
        found = retried(lambda: self._committed(consumer, partitions), self._stop)
        self._appeared |= {key[0] for key, place in found.items() if place is None}
        # Where the log begins later than that, reading says so: see `_take_error`.
        self._positions.take(found, self._tags.partitions)
        assigned = [TopicPartition(*key, offset=self._positions[key]) for key in found]
        consumer.incremental_assign(assigned)
        if self._waiting:
            consumer.pause(assigned)
        many, total = len(found), len(self._positions)
        logger.info("Reading %d more partitions, %d in all", many, total, extra={"action": "assign"})

    def _committed(self, consumer: Consumer, partitions: list[TopicPartition]) -> dict[Key, Committed | None]:
        self._tags.learn({each.topic for each in partitions})
        return committed(consumer, partitions, TIMEOUT, self._tags.known)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Hand partitions over to another relay, which goes on where this one has committed."""
        if consumer is self._consumer:
            self._commits.send(consumer, wait=True)
        self._on_lost(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget partitions that another relay may already read."""
        if consumer is self._consumer:  # and not one that has been given up, and ends
            self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        gone = {(each.topic, each.partition) for each in partitions}
        self._positions.give_up(gone, self._tags.partitions)
        self._commits.forget(gone)
        self._resting.end(gone)
        self._held = [kept for kept in self._held if (kept.topic(), kept.partition()) not in gone]
        many, total = len(partitions), len(self._positions)
        logger.info("Gave up %d partitions, %d left", many, total, extra={"action": "revoke"})

    def _take_error(self, message: Message) -> bool:
        """Say whether the partition goes on at another place; what is said of anything else is said once."""
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._connection.take(error)
            return False
        if error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._complaints.say(error)
            return False
        key = str(message.topic()), message.partition() or 0
        if key in self._positions:  # else it has been given up meanwhile
            self._reset(key)
        return True

    def _reset(self, key: Key) -> None:
        """Go on where the log begins, unless it has the position: librdkafka may say so of an assignment that is no more.

        Where that cannot be found out, stay: the same error comes again.  It may be the log of another topic of the name.
        """
        self._positions.moved([key])
        self._tags.doubt()
        try:
            begin, end = (ends(self._consumer, places([key]), at, TIMEOUT)[key] for at in (EARLIEST, LATEST))
        except KafkaException as error:
            self._complaints.say(error.args[0])
        else:
            if not begin <= self._positions[key] <= end:
                self._positions[key] = begin
                said = "The log does not have the relay's position"
                logger.warning(said, extra={"topic": key[0], "partition": key[1], "action": "reset"})
        read_from(self._consumer, self._positions, [key])

    def _begin_again(self, topics: set[str]) -> None:
        """Go on as a consumer that never heard of these topics, which were created again; what it read of them is gone.

        The leaders of a new topic count their epochs from 0, and librdkafka takes all that is said of them for outdated
        (`rd_kafka_toppar_leader_update`): after a change of leaders in the old one, it would never read the new one.
        """
        for topic in sorted(topics):
            logger.warning("The topic was created again", extra={"topic": topic, "action": "begin"})
        self._commits.forget([key for key in self._positions if key[0] in topics])
        self.close()
        self._begin()

    def _renew(self, why: str) -> None:
        """Go on with a new consumer, without waiting for the end of this one."""
        logger.warning("%s: connecting anew", why, extra={"action": "renew"})
        was_away = self._connection.is_away
        end(self._consumer, self._commits, self._resting)
        self._begin()
        if was_away:
            self._connection.failed()

    def _begin(self) -> None:
        self._positions.begin()
        self._held = []
        self._open()
        self._connection.started()
        self._membership.begin()
