"""Numbered records, and the judgement of what a client got of them.

A value is JSON with `t` (ns since the epoch), `p` (partition), `seq` (dense per partition) and `pad`.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import orjson
from confluent_kafka import KafkaException, Producer

from tests.harness.kafka_admin import quiet
from tests.harness.wait import until

QUEUE = 200_000  # records that librdkafka holds until the broker has them
LINGER = 100  # ms for which it waits for more: a request for each record would be most of what a test costs
SHOWN = 5


class Delivered(Protocol):
    """What the checker reads of an event: `tests.harness.sse.Received` has it."""

    data: str
    connection: int


@dataclass
class Report:
    """What was wrong, in the order in which it was seen; everything empty means nothing was."""

    lost: dict[int, list[int]] = field(default_factory=dict)  # partition: numbers that never came
    repeated: list[tuple[int, int, int]] = field(default_factory=list)  # (connection, partition, number)
    disordered: list[tuple[int, int, int]] = field(default_factory=list)  # a lower number than one before it
    skipped: list[tuple[int, int, int]] = field(default_factory=list)  # the number before it had not come yet
    foreign: list[str] = field(default_factory=list)  # the data of events that are no numbered record
    again: int = 0  # records that came in more than one connection, as they may
    delivered: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.lost or self.repeated or self.disordered or self.skipped or self.foreign)

    def assert_ok(self) -> None:
        """Raise AssertionError, which says what was wrong, unless nothing was."""
        assert self.ok, str(self)

    def __str__(self) -> str:
        """Count each fault and show the first ones."""
        lost = {p: f"{len(numbers)}: {numbers[:SHOWN]}" for p, numbers in self.lost.items()}
        kinds = ("repeated", "disordered", "skipped", "foreign")
        rest = {k: f"{len(getattr(self, k))}: {getattr(self, k)[:SHOWN]}" for k in kinds if getattr(self, k)}
        return f"{self.delivered} delivered, {self.again} again; lost {lost}; {rest}"


def check(
    events: Iterable[Delivered], last: Mapping[int, int], *, first: Mapping[int, int] | int | None = 0
) -> Report:
    """Judge one client's records, in the order in which they came, over all its connections.

    It should have everything from `first` up to `last`, both included, of each partition in `last`; numbers beyond
    are welcome.  `first` is one number for all, one for each, or None: whatever the client got first (of a partition
    of which it got nothing, `last` is then missing).  Within a connection nothing may come twice; a later connection
    may go over old ground, but may not leave any out.
    """
    report, seen = Report(), _Seen()
    for event in events:
        number = _numbered(event.data)
        if number is None:
            report.foreign.append(event.data)
        else:
            seen.add(report, event.connection, *number)
    for partition, final in last.items():
        got = seen.numbers[partition]
        begin = min(got, default=final) if first is None else _first(first, partition)
        if missing := [number for number in range(begin, final + 1) if number not in got]:
            report.lost[partition] = missing
    return report


def _first(first: Mapping[int, int] | int, partition: int) -> int:
    return first if isinstance(first, int) else first.get(partition, 0)


def _numbered(data: str) -> tuple[int, int] | None:
    try:
        value = orjson.loads(data)
        return int(value["p"]), int(value["seq"])
    except (ValueError, KeyError, TypeError):
        return None


class _Seen:
    """What has come so far: in all, and in each connection."""

    def __init__(self) -> None:
        self.numbers: defaultdict[int, set[int]] = defaultdict(set)
        self._inside: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self._highest: dict[tuple[int, int], int] = {}

    def add(self, report: Report, connection: int, partition: int, number: int) -> None:
        """Take one record and report what is wrong with it."""
        place = (connection, partition)
        known, inside = self.numbers[partition], self._inside[place]
        highest = self._highest.get(place, number)
        report.delivered += 1
        if number in inside:
            report.repeated.append((*place, number))
        elif number < highest:
            report.disordered.append((*place, number))
        elif known and number not in known and number - 1 not in known:
            report.skipped.append((*place, number))
        report.again += number in known and number not in inside
        inside.add(number)
        known.add(number)
        self._highest[place] = max(number, highest)


class NumberedWriter:
    """Writes numbered records to a topic, in turn over its partitions, and knows which the broker has acknowledged.

    `write` is flat out and in the foreground; between `start` and `stop` a thread writes at `rate` records per second
    (0: flat out).  It lives through the broker's absence: what waits is written later, once and in order.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int = 4,
        *,
        rate: float = 0,
        size: int = 128,
        **settings: Any,
    ) -> None:
        """Connect; `settings` are librdkafka's, with underscores for dots."""
        self.topic, self.partitions, self.rate, self.size = topic, partitions, rate, size
        self.refused: list[str] = []
        self._turn = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        more = {name.replace("_", "."): value for name, value in settings.items()}
        base = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": LINGER, **quiet()}
        self._settings = {**base, "queue.buffering.max.messages": QUEUE, **more}
        self._begin()

    def _begin(self) -> None:
        """Begin with 0, and with a client of Kafka that knows of nothing before."""
        self.acknowledged: dict[int, int] = {}
        self._next = dict.fromkeys(range(self.partitions), 0)
        self._producer = Producer(self._settings)

    @property
    def sent(self) -> dict[int, int]:
        """How many records have been given to the client library, by partition."""
        return dict(self._next)

    @property
    def total(self) -> int:
        """How many records the broker has acknowledged."""
        # A copy: the writing thread adds a partition at any moment.
        return sum(last + 1 for last in self.acknowledged.copy().values())

    def widen(self, partitions: int) -> None:
        """Write to so many partitions from now on; the topic has to have them."""
        until(
            lambda: len(self._known_partitions()) >= partitions,
            20,
            f"{self.topic} has {partitions} partitions",
        )
        self._next |= dict.fromkeys(range(self.partitions, partitions), 0)
        self.partitions = partitions

    def _known_partitions(self) -> Any:
        """Return the topic's partitions; the client library learns of new ones by being asked."""
        return self._producer.list_topics(self.topic, 5).topics[self.topic].partitions

    def write(self, count: int, timeout: float = 60.0) -> dict[int, int]:
        """Write `count` records flat out; return the last number of each partition, acknowledged."""
        for _ in range(count):
            self._put()
        return self.flush(timeout)

    def start(self) -> Self:
        """Write in a thread until `stop`."""
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name=f"writer of {self.topic}", daemon=True)
        self._thread.start()
        return self

    def stop(self, timeout: float = 60.0) -> dict[int, int]:
        """Stop writing; return the last number of each partition, all acknowledged."""
        self._ending.set()
        if self._thread:
            self._thread.join(timeout)
            self._thread = None
        return self.flush(timeout)

    def flush(self, timeout: float = 60.0) -> dict[int, int]:
        """Wait until everything written is acknowledged; return the last number of each partition."""
        left = self._producer.flush(timeout)
        assert not self.refused, f"refused: {self.refused[:3]}"
        assert not left, f"not within {timeout:g} s: {left} records written"
        return dict(self.acknowledged)

    def wait_total(self, count: int, timeout: float) -> float:
        """Wait until the broker has acknowledged `count` records in all; return how many seconds that took."""
        began = time.monotonic()

        def enough() -> bool:
            self._producer.poll(0)
            return self.total >= count

        until(enough, timeout, lambda: f"{count} records acknowledged, there are {self.total}")
        return time.monotonic() - began

    def __enter__(self) -> Self:
        """Start writing in a thread."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop, without judging: what is left is thrown away where the broker has gone for good."""
        self._ending.set()
        if self._thread:
            self._thread.join(5)
        self._producer.purge()
        self._producer.flush(1)

    def _run(self) -> None:
        began, written = time.monotonic(), 0
        while not self._ending.is_set():
            try:
                self._put()
            except KafkaException as error:
                self.refused.append(str(error))
                return
            written += 1
            ahead = began + written / self.rate - time.monotonic() if self.rate else 0
            if ahead > 0.001:
                self._producer.poll(0)
                self._ending.wait(ahead)

    def record(self, partition: int, number: int) -> dict[str, bytes | None]:
        """Return the value, and the key if it has one, of one record."""
        head = b'{"t":%d,"p":%d,"seq":%d,"pad":"' % (time.time_ns(), partition, number)
        return {"value": head.ljust(self.size - 2, b"x") + b'"}'}

    def _put(self) -> None:
        partition = self._turn % self.partitions
        number = self._next[partition]
        fields = self.record(partition, number)
        while True:
            try:
                self._producer.produce(self.topic, partition=partition, on_delivery=self._delivered, **fields)
                break
            except BufferError:
                self._producer.poll(0.05)
        self._next[partition], self._turn = number + 1, self._turn + 1
        if self._turn % 500 == 0:
            self._producer.poll(0)

    def _delivered(self, error: object, record: Any) -> None:
        if error:
            self.refused.append(str(error))
            return
        # An idempotent producer's acknowledgements come in order, so the count is the number.
        partition = record.partition()
        self.acknowledged[partition] = self.acknowledged.get(partition, -1) + 1
