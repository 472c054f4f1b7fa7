"""When the ends of the logs are looked at; what is made of them is tested with the source."""

import itertools
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from relay import resting
from relay.resting import LONGEST, LOOK, SHARE, Resting
from tests.fakes import ManualClock
from tests.harness.wait import until

ORDERS = ("orders", 0)


class Kafka:
    """A client of a cluster whose logs end at 7; each of its answers takes the next of `delays` seconds."""

    def __init__(self, clock, delays):
        self.clock, self.delays = clock, delays
        self.error, self.times = None, []

    def pause(self, _partitions):
        """Nothing is fetched."""

    def close(self):
        """Nothing is open."""

    def offsets_for_times(self, partitions, _timeout):
        """Return where the logs end."""
        began = self.clock.now
        self.clock.advance(self.delays.pop(0))
        self.times.append((began, self.clock.now))
        if self.error is not None:
            raise KafkaException(KafkaError(self.error))
        return [TopicPartition(each.topic, each.partition, 7) for each in partitions]


@pytest.fixture
def clock(monkeypatch):
    """Return the clock by which looks take time."""
    made = ManualClock()
    monkeypatch.setattr(resting, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def looks(clock, monkeypatch, delays, error=None):
    """Return how many seconds passed between the looks that took `delays`, from the end of each to the next."""
    kafka = Kafka(clock, list(delays))
    kafka.error = error
    monkeypatch.setattr(resting, "Consumer", lambda _config: kafka)
    partitions = Resting(kafka, {})
    partitions.begin({ORDERS})
    for _ in delays:
        partitions.grown({ORDERS: 5}, clock.now)
        while partitions._asked is None:  # noqa: SLF001
            clock.advance(LOOK / 2)
            partitions.grown({ORDERS: 5}, clock.now)
        until(partitions._asked.done, 5, "an answer")  # noqa: SLF001
        partitions.grown({ORDERS: 5}, clock.now)
    partitions.close()
    return [later[0] - earlier[1] for earlier, later in itertools.pairwise(kafka.times)]


def test_quick_looks_follow_each_other_soon(clock, monkeypatch):
    """Quiet partitions are hardly behind."""
    assert looks(clock, monkeypatch, [0.001, 0.001, 0.001]) == pytest.approx([LOOK, LOOK], abs=0.06)


def test_look_that_took_long_is_followed_by_a_pause_of_many_times_as_long(clock, monkeypatch):
    """It is to be a small part of Kafka's work."""
    assert looks(clock, monkeypatch, [0, 0.1, 0]) == pytest.approx([LOOK, 0.1 * SHARE], abs=0.06)


@pytest.mark.parametrize("error", [None, KafkaError._TIMED_OUT])  # noqa: SLF001
def test_pause_has_an_end(clock, monkeypatch, error):
    """Where Kafka took a second once, positions are not left where they are for twenty."""
    assert looks(clock, monkeypatch, [0, 1.0, 0], error) == pytest.approx([LOOK, LONGEST], abs=0.06)


def test_first_look_has_to_connect_and_is_soon_followed(clock, monkeypatch):
    """How long that takes is no measure of the work."""
    assert looks(clock, monkeypatch, [1.0, 0]) == pytest.approx([LOOK], abs=0.06)
