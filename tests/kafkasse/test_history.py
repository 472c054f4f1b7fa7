"""A page of the log, read by a consumer that says what librdkafka says at inconvenient moments."""

from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaError

from kafkasse import history, positions
from kafkasse.exceptions import KafkaUnavailableError
from kafkasse.offsets import EARLIEST

KEY = ("orders", 0)


class Message:
    """A record, or the error that a position is not in the log."""

    def __init__(self, offset, *, gone=False):
        """Say where."""
        self.place, self.gone = offset, gone

    def topic(self):
        """Return the topic."""
        return KEY[0]

    def partition(self):
        """Return the partition."""
        return KEY[1]

    def offset(self):
        """Return the offset."""
        return self.place

    def error(self):
        """Return the error."""
        return KafkaError(KafkaError._AUTO_OFFSET_RESET) if self.gone else None  # noqa: SLF001

    def value(self):
        """Return the value."""
        return b"%d" % self.place

    def key(self):
        """Return no key."""

    def timestamp(self):
        """Return a time."""
        return 1, 0


class Log:
    """A partition from `begin` to `end`, and its reader; `late` is what the reader still says of an earlier assignment."""

    def __init__(self, begin, end, *late, gone_at=None):
        """Read nothing yet; from `gone_at` on, reading says that it is gone, up to `begin`."""
        self.begin, self.end, self.late, self.gone_at = begin, end, list(late), gone_at
        self.assigned, self.at = [], None

    def ends(self, keys, which):
        """Return where the log begins or ends."""
        return dict.fromkeys(keys, self.begin if which == EARLIEST else self.end)

    def assign(self, places):
        """Begin to read."""
        self.at = places[0].offset
        self.assigned.append(self.at)

    def unassign(self):
        """Read no more."""

    def consume(self, _most, _timeout):
        """Return what is left over, then a record."""
        if self.late:
            return [self.late.pop(0)]
        if self.gone_at is not None and self.gone_at <= self.at < self.begin:
            return [Message(self.at, gone=True)]
        found, self.at = self.at, self.at + 1
        return [Message(found)] if found < self.end else []

    def poll(self, _timeout):
        """Return nothing: time is up."""

    @contextmanager
    def reader(self):
        """Lend itself."""
        yield self


@pytest.fixture
def read(monkeypatch):
    """Return a function that reads a page of a log."""

    def reading(log, start, stop):
        monkeypatch.setattr(history, "readers", lambda: log)
        monkeypatch.setattr(positions, "lookup", lambda: log)
        return history.page({KEY: start}, {KEY: stop}, 10_000)

    return reading


def test_page_of_what_is_there_is_complete(read):
    """Up to where it was to stop."""
    page = read(Log(0, 9), 5, 8)
    assert [record.offset for record in page.records] == [5, 6, 7]
    assert (page.lost, page.positions, page.complete) == ({}, {KEY: 8}, True)


@pytest.mark.parametrize("begin", [3, 5])
def test_page_does_not_believe_what_is_said_of_an_earlier_assignment(read, begin):
    """It goes on where it was, and nothing is told to be gone."""
    log = Log(begin, 9, Message(2, gone=True), Message(2, gone=True))
    page = read(log, 5, 8)
    assert [record.offset for record in page.records] == [5, 6, 7]
    assert (page.lost, page.positions, page.complete) == ({}, {KEY: 8}, True)
    assert log.assigned == [5, 5, 5]


def test_page_whose_first_records_are_gone_says_so_once(read):
    """Also where the reader says it again when it has been told to go on."""
    log = Log(4, 9, Message(2, gone=True), Message(2, gone=True))
    page = read(log, 2, 6)
    assert [record.offset for record in page.records] == [4, 5]
    assert (page.lost, page.positions, page.complete) == ({KEY: (2, 4)}, {KEY: 6}, True)


def test_page_ends_before_what_is_gone_behind_its_records(read):
    """The next page says so: before its first record, behind this one's last."""
    log = Log(8, 20, Message(5), Message(6), Message(7, gone=True))
    page = read(log, 5, 10)
    assert [record.offset for record in page.records] == [5, 6]
    assert (page.lost, page.positions, page.complete) == ({}, {KEY: 7}, False)
    page = read(Log(8, 20, gone_at=7), 7, 10)
    assert [record.offset for record in page.records] == [8, 9]
    assert (page.lost, page.positions, page.complete) == ({KEY: (7, 8)}, {KEY: 10}, True)


def test_page_of_a_broker_that_denies_what_it_says_it_has_ends_in_time(read, monkeypatch):
    """Not in a circle."""
    monkeypatch.setattr(history, "PAGE_SECONDS", 0.05)
    log = Log(0, 9, *[Message(5, gone=True)] * 100_000)
    with pytest.raises(KafkaUnavailableError):
        read(log, 5, 8)
