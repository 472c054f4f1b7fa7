"""When the clients of a crowd begin to catch up."""

import pytest

from kafkasse.intake import ALONE, LONGEST, SEALED, Intake
from tests.fakes import ManualClock

RATE = 1_000_000


@pytest.fixture
def clock():
    """Return the time."""
    return ManualClock()


@pytest.fixture
def intake(clock):
    """Return an intake of a megabyte per second, of which nothing is taken."""
    return Intake(RATE, clock)


def test_delay_first_client_begins_at_once(intake):
    """However much it has before it."""
    assert intake.delay(50 * RATE) == 0


def test_delay_each_waits_for_those_before_it(intake):
    """As long as theirs takes; the page of the first is nobody else's, and takes longer."""
    assert [intake.delay(2 * RATE) for _ in range(4)] == [0, 2 * ALONE, 2 * ALONE + 2, 2 * ALONE + 4]


def test_delay_is_to_the_nearest_second(intake):
    """The proxy counts whole ones; a few clients are no crowd."""
    assert [intake.delay(RATE // (5 * ALONE)) for _ in range(4)] == [0, 0, 0, 1]


def test_delay_time_that_passes_is_given_back(intake, clock):
    """Who comes when all have begun waits for nobody, and nothing is saved up for later."""
    intake.delay(2 * RATE)
    clock.advance(2 * ALONE - 1)
    assert intake.delay(0) == 1
    clock.advance(100)
    assert [intake.delay(RATE) for _ in range(2)] == [0, ALONE]


def test_delay_has_an_end(intake, clock):
    """Many may have gone while they waited."""
    for _ in range(1000):
        assert intake.delay(RATE) <= LONGEST
    assert intake.delay(RATE) == LONGEST
    clock.advance(LONGEST + 1)
    assert intake.delay(RATE) == 0


def test_delay_without_a_rate_is_none(clock):
    """Clients begin whenever they come."""
    assert {Intake(0, clock).delay(RATE) for _ in range(100)} == {0}


def test_delay_sealed_pages_take_longer(intake):
    """The proxy looks at each of their bytes."""
    intake.delay(RATE, sealed=True)
    assert intake.delay(RATE, sealed=True) == round(ALONE * SEALED)
    assert intake.delay(RATE) == round((ALONE + 1) * SEALED)
