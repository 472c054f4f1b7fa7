"""The relay's loop: read, chunk, publish, commit.  Knows neither Kafka nor HTTP."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafkasse.exceptions import KafkaUnavailableError, PublishError
from relay import chunks
from relay.audience import Audience, Everybody
from relay.chunks import Chain
from relay.pacing import Pacer
from relay.publisher import RefusedError
from relay.reminders import Reminders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from threading import Event

    from kafkasse.topics import Key, Place
    from relay.audience import Subscriptions
    from relay.chunks import Item, Run
    from relay.interfaces import Source
    from relay.publisher import Publisher

logger = logging.getLogger(__name__)

READ_TIMEOUT = 0.05
"""Seconds to wait for a first record: how soon a stop, or a first listener, is noticed when nothing comes."""
LOOK = 1.0
"""How often it is looked for what nobody listens to, and for chains to remind of, in seconds."""
MOST_TOLD = 1000
"""How many items without records, of 700 bytes at the most, go into one publish."""
SHORTEST_BACKOFF, LONGEST_BACKOFF = 0.1, 1.0


@dataclass(slots=True)
class Totals:
    """What the relay has done since it started, for its status line; `unheard` are the records that nobody listened to."""

    records: int = 0
    unheard: int = 0
    items: int = 0
    publishes: int = 0
    last_publish: float | None = None


@dataclass(slots=True)
class Runner:
    """One relay: its parts, and what it has done."""

    source: Source
    publisher: Publisher
    stop: Event
    prefix: str = ""
    subscriptions: Subscriptions = field(default_factory=Everybody)
    pacer: Pacer = field(default_factory=Pacer)
    reminders: Reminders = field(default_factory=Reminders)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    totals: Totals = field(default_factory=Totals)
    after_tick: Callable[[Runner], None] = lambda _runner: None
    audience: Audience = field(init=False)
    _next_look: float = float("-inf")
    _refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Take note of who listens from here on."""
        self.audience = Audience(self.subscriptions, self.prefix)

    def run(self) -> None:
        """Relay until `stop` is set; then the publish in flight is finished and committed."""
        self._start()
        try:
            while not self.stop.is_set():
                self.tick()
                self.after_tick(self)
        except KafkaUnavailableError:
            logger.info("Stopped before Kafka came back", extra={"action": "stop"})
        finally:
            self.source.close()

    def _start(self) -> None:
        """Start the source, however long Kafka may take to appear."""
        said = False
        while not self.stop.is_set():
            try:
                self.source.start()
            except KafkaUnavailableError as error:
                if not said:
                    logger.warning("%s; trying on", error, extra={"action": "connect"})
                said = True
                self.stop.wait(LONGEST_BACKOFF)
            else:
                return

    def tick(self) -> None:
        """Do one round: what has been written since the last one becomes items, and is published and committed."""
        # Before reading: what arrives meanwhile then shares the next item.
        if self._rested():
            self.publisher.prepare()
            self._welcome()
            self._look()
            if self._relay(self.source.read(READ_TIMEOUT)):
                self._pass_over(self.source.follow())

    def _welcome(self) -> None:
        """Read again what somebody listens to, or may.

        A client's hold begins at the position that a view has looked up; before the relay heard of it, that may have moved
        on.  So the first thing told about a chain is how far it is: who is elsewhere is repaired from the log at once.
        """
        arrived = self.audience.arrived()
        if woken := arrived | self.audience.doubtful():
            positions = self.source.positions()
            self.source.wake({key for key in positions if key in woken or (key[0], None) in woken})
        if arrived:
            chains = [self._chain(place) for place in self._places() if place in arrived]
            self._tell(chunks.forget(chain.channel) for chain in chains)
            self._tell(chain.reminder(self._positions(chain.place)) for chain in self._heard_chains(chains))

    def _look(self) -> None:
        """Now and then: read just what somebody listens to, repair who lacks the last items of a chain, leave others be."""
        if (now := self.clock()) >= self._next_look:
            self._next_look = now + LOOK
            unheard = {key for key in self.source.positions() if not self._heard(key)}
            self.source.rest(unheard)
            # A topic that has become a whole may have had listeners all the time: they are no news.
            self.source.wake(self.source.positions().keys() - unheard)
            # First: a heartbeat makes its topic a busy one.
            silent = [*self._reminders(now)]
            busy = (chunks.postpone(topic, self.prefix) for topic in self.reminders.busy(now))
            self._tell([*silent, *busy])

    def _places(self) -> list[Place]:
        """Return what this relay has chains of: its partitions, and the topics that it has as a whole."""
        return [*self.source.positions(), *((topic, None) for topic in self.source.whole())]

    def _heard(self, key: Key) -> list[Place]:
        """Return by which chains the records of a partition go to somebody."""
        whole: list[Place] = [(key[0], None)] if key[0] in self.source.whole() else []
        return self.audience.heard([key, *whole], self.source.tag(key[0]))

    def _chain(self, place: Place) -> Chain:
        return Chain(place, self.source.tag(place[0]), self.prefix)

    def _heard_chains(self, chains: Iterable[Chain]) -> Iterator[Chain]:
        return (chain for chain in chains if self.audience.listens(chain.place, chain.tag))

    def _reminders(self, now: float) -> Iterator[bytes]:
        """Yield what the clients of silent chains are told.  All that has been read is published by now."""
        due = self.reminders.due(self._places(), now)
        for chain in self._heard_chains(map(self._chain, due)):
            (topic, partition), positions = chain.place, self._positions(chain.place)
            if partition is None and self.source.is_live(topic):
                self.reminders.published([chain.place], now)
                yield chain.reminder(positions, live=self.wall_clock())
            elif self.reminders.spared(chain.place):
                yield chunks.forget(chain.channel)
                yield chain.reminder(positions, follows=False)
            else:
                yield chain.reminder(positions)

    def _positions(self, place: Place) -> list[int]:
        """Return where a chain is once all that has been read is published."""
        topic, partition = place
        if partition is None:
            return self.source.vector(topic)
        return [self.source.positions()[topic, partition]]

    def _rested(self) -> bool:
        """Leave the proxy its time; return False when a stop came first."""
        return not self.stop.wait(self.pacer.rest(self.clock()))

    def _relay(self, runs: list[Run]) -> bool:
        """Publish what has been read, and commit it; return False when a stop came first."""
        self._tell(chunks.hint(name, self.prefix) for name in sorted(self.source.appeared()))
        heard: dict[Place, list[Run]] = {}
        unheard = []
        for run in runs:
            places = self._heard(run.key)
            for place in places:
                heard.setdefault(place, []).append(run)
            if not places:
                unheard.append(chunks.unheard(run.key, run.tag, run.end, len(run.records)))
        # Before anything is waited for: partitions may be given up meanwhile.
        ends = {place: self._positions(place) for place in heard}
        self._pass_over(unheard)
        # Built one batch at a time, while the proxy works on the one before: the rest is no lost time.
        batches = chunks.batches(chunks.items(heard, ends, self.prefix))
        done = all(self._rested() and self._deliver(batch) for batch in batches)
        self._tell_refused()
        return done

    def _tell_refused(self) -> None:
        """Have clients fetch from the log what cannot be published.  They may read up to the committed position: that first."""
        if self._refused:
            self.source.commit((), wait=True)
            self._tell(chunks.hint(name, self.prefix) for name in sorted(self._refused))
            self._refused = set()

    def _pass_over(self, items: list[Item]) -> None:
        """Go on behind what nobody listens to."""
        if items:
            self.source.commit(items)
            self.totals.unheard += sum(item.records for item in items)

    def _deliver(self, batch: list[Item]) -> bool:
        """Publish a batch and commit it; return False when a stop came first."""
        refused = [item for item in batch if item.body is None]
        body = chunks.body(item.body for item in batch if item.body is not None)
        try:
            if len(refused) < len(batch) and not self._publish(body):
                return False
        except RefusedError as error:
            logger.warning("%s; the clients fetch these records from the log", error)
            refused = batch
        self.source.commit(batch)
        gaps = sorted({Chain(item.place, item.tag, self.prefix).channel for item in refused})
        self._tell(map(chunks.forget, gaps))
        self._refused |= {item.place[0] for item in refused}
        self.reminders.published({item.place for item in batch}, self.clock())
        self.totals.records += sum(item.records for item in batch)
        self.totals.items += len(batch)
        return True

    def _publish(self, body: bytes) -> bool:
        """Publish, trying on for as long as it takes; return False when a stop came first."""
        backoff = SHORTEST_BACKOFF
        while True:
            started = self.clock()
            try:
                self.publisher.publish(body)
            except RefusedError:
                raise
            except PublishError as error:
                logger.debug("Not published: %s", error)
                if self.stop.is_set():
                    return False
                self.source.wait(backoff)
                backoff = min(2 * backoff, LONGEST_BACKOFF)
            else:
                ended = self.clock()
                self.pacer.published(started, ended, len(body))
                self.totals.publishes += 1
                self.totals.last_publish = ended
                return True

    def _tell(self, items: Iterable[bytes]) -> None:
        """Publish what no client is delivered; if it gets lost, holds ask by themselves after a while."""
        told = list(items)
        for begin in range(0, len(told), MOST_TOLD):
            try:
                self.publisher.publish(chunks.body(told[begin : begin + MOST_TOLD]))
            except PublishError as error:
                logger.debug("Not told: %s", error)
                return
