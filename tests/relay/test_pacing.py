"""How long the relay rests: as long as a publish took, smoothed, within limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.pacing import LONGEST, SHORTEST, Pacer

SECONDS = st.floats(0, 100, allow_nan=False)


def rest(*durations):
    """Return how long to rest right after these publishes, which began one after the other at 0."""
    pacer, now = Pacer(), 0.0
    for seconds in durations:
        pacer.published(now, now + seconds)
        now += seconds
    return pacer.rest(now)


def test_rest_before_the_first_publish_is_none():
    """A first record is not kept waiting."""
    assert Pacer().rest(0.0) == 0


def test_rest_is_over_when_as_much_time_has_passed():
    """What was read and built meanwhile counts: a record that comes later is published at once."""
    pacer = Pacer()
    pacer.published(10.0, 10.1)
    assert pacer.rest(10.11) == pytest.approx(0.02)
    assert pacer.rest(10.13) == pytest.approx(0.0)
    assert pacer.rest(20.0) == 0


@given(st.lists(SECONDS, min_size=1, max_size=20))
def test_rest_after_any_publishes_keeps_its_limits(durations):
    """Between 3 and 500 ms."""
    assert rest(*durations) == pytest.approx(min(0.5, max(0.003, rest(*durations))), abs=1e-9)


@given(SECONDS)
def test_rest_after_many_equal_publishes_is_as_long_as_each(seconds):
    """That keeps the proxy's handler half busy."""
    expected = min(LONGEST, max(SHORTEST, seconds))
    assert rest(*[seconds] * 50) == pytest.approx(expected, rel=1e-3)


def test_rest_after_one_slow_publish_among_fast_ones_is_short():
    """One slow publish shall not stop the stream for as long."""
    assert rest(*[0.01] * 20, 0.2) == pytest.approx(0.067, abs=0.001)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=20), st.floats(0.001, 0.1))
def test_rest_grows_when_publishes_take_longer(durations, more):
    """A busier proxy gets more rest, never less."""
    assert rest(*[each + more for each in durations]) >= rest(*durations) - 1e-9
