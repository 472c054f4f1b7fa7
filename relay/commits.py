"""Committing positions, one request at a time.

A broker answers the requests of one connection in order, and takes 5 ms and longer for a commit (Kafka 4's
`group.coordinator.append.linger.ms`).  One commit for each of a hundred publishes a second piled up to 200 of them, 5 s,
and the heartbeats behind them came too late: the group gave the relay up.  So what is published meanwhile goes with the
next commit; the newest position of a partition says all.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kafkasse.offsets import metadata

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from kafkasse.topics import Key
    from relay.chunks import Item

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.05


class Commits:
    """The positions that are still to be committed, and whether a request is under way."""

    def __init__(self) -> None:
        self._pending: dict[Key, TopicPartition] = {}
        self._sent: dict[Key, TopicPartition] = {}
        self.under_way = False

    def add(
        self,
        items: Iterable[Item],
        mine: Container[Key],
        resting: Container[Key] = (),
        whole: Container[str] = (),
    ) -> None:
        """Take note of the positions after `items`, as far as their partitions are `mine`.

        And of which of them rest, and which of their topics have a chain as a whole (`kafkasse.offsets.committed`).
        """
        for item in items:
            for key, position in item.positions.items():
                if key in mine:
                    text = metadata(item.tag, rests=key in resting, whole=key[0] in whole)
                    self._pending[key] = TopicPartition(*key, position, text)

    def send(self, consumer: Consumer, *, wait: bool = False) -> None:
        """Commit what is pending, unless a request is under way.

        With `wait` commit in any case, also what is under way and may still be refused, and return when it is done.

        A commit that fails is no loss: it goes with the next one, and what a crash leaves uncommitted is published
        twice, which the chain makes harmless.
        """
        if wait:
            self._pending, self._sent = self._sent | self._pending, {}
        if not self._pending or (self.under_way and not wait):
            return
        pending, self._pending = self._pending, {}
        offsets = list(pending.values())
        try:
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
                self._sent, self.under_way = pending, True
        except KafkaException as error:
            logger.debug("Commit failed: %s", error)
            self._pending = pending | self._pending

    def finish(self, consumer: Consumer, seconds: float) -> None:
        """Commit everything; a refusal, as while the group rebalances, is tried again for up to `seconds`."""
        deadline = time.monotonic() + seconds
        self.send(consumer, wait=True)
        while self._pending and time.monotonic() < deadline:
            consumer.poll(AGAIN_SECONDS)  # the rebalance goes on in here
            self.send(consumer, wait=True)

    def answered(self, error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
        """Take the answer, from librdkafka's callback.  The next request is not made from here: it would never end."""
        self.under_way = False
        if error is not None:
            logger.debug("Commit failed: %s", error)
            self._pending = self._sent | self._pending
        self._sent = {}

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop what belongs to another relay by now."""
        for key in keys:
            self._pending.pop(key, None)
            self._sent.pop(key, None)
