"""The status line: on a terminal only, once a second, on one line."""

from __future__ import annotations

import io
import threading

import pytest
from django.core.management.base import OutputWrapper

from relay import status
from relay.runner import Runner
from tests.fakes import ListSource, ManualClock, RecordingPublisher


class Terminal(io.StringIO):
    """What says that it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


@pytest.fixture
def runner():
    """Return a runner that has done something."""
    stop = threading.Event()
    runner = Runner(ListSource([], stop), RecordingPublisher(), stop)
    runner.source.behind = 12_345
    runner.totals.records, runner.totals.items, runner.totals.unheard = 1_000_000, 2_500, 300
    return runner


def test_reporter_without_a_terminal_writes_nothing(runner):
    """A log collector has no use for a line that rewrites itself."""
    stream, clock = io.StringIO(), ManualClock()
    report = status.reporter(OutputWrapper(stream), clock)
    clock.advance(10)
    report(runner)
    assert stream.getvalue() == ""


def test_reporter_on_a_terminal_rewrites_one_line_once_a_second(runner):
    """Many ticks in a second make one update."""
    stream, clock = Terminal(), ManualClock()
    report = status.reporter(OutputWrapper(stream), clock)
    for _ in range(25):
        clock.advance(0.1)
        report(runner)
    assert stream.getvalue().count("\r") == 2
    assert "\n" not in stream.getvalue()


def test_reporter_shows_the_rate_since_its_last_line(runner):
    """Not the average since the start; what nobody listens to has been read, too."""
    stream, clock = Terminal(), ManualClock()
    runner.totals.records = runner.totals.unheard = 0
    report = status.reporter(OutputWrapper(stream), clock)
    for records, unheard in ((1000, 0), (2000, 3000)):
        runner.totals.records, runner.totals.unheard = records, unheard
        clock.advance(2)
        report(runner)
    assert "\x1b[K500 records/s" in stream.getvalue()
    assert "\x1b[K2,000 records/s" in stream.getvalue()


def test_line_says_rate_lag_items_and_last_publish(runner):
    """What somebody who watches wants to know."""
    runner.totals.last_publish = 100.0
    line = status.line(runner, 1234.5, 103.2)
    assert line == (
        "1,234 records/s, 12,345 behind; 1,000,000 records in 2,500 items, 300 unheard; last publish 3 s ago"
    )


def test_line_before_the_first_publish_says_never(runner):
    """And not a time in the past."""
    assert status.line(runner, 0, 5).endswith("last publish never")
