"""How long the relay rests: as long as a publish took, and four times as long as it waited, smoothed, within limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.chunks import BODY_BYTES
from relay.pacing import LONGEST, SHORTEST, Pacer

SECONDS = st.floats(0, 100, allow_nan=False)


def rest(*durations, size=0):
    """Return how long to rest right after these publishes of `size` bytes, which began one after the other at 0."""
    pacer, now = Pacer(), 0.0
    for seconds in durations:
        pacer.published(now, now + seconds, size)
        now += seconds
    return pacer.rest(now)


def busy_proxy(flush, publishes):
    """Publish to a proxy that answers when it has flushed the item before; return how long the latest of them waited."""
    pacer, now, free = Pacer(), 0.0, 0.0
    waits = []
    for _ in range(publishes):
        started = now + pacer.rest(now)
        waits.append(max(0.0, free - started))
        now = started + waits[-1] + 0.001
        free = now + flush
        pacer.published(started, now)
    return waits[publishes // 2 :]


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
    """Between 6 and 500 ms."""
    assert rest(*durations) == pytest.approx(min(0.5, max(0.006, rest(*durations))), abs=1e-9)


@given(SECONDS)
def test_rest_after_many_equal_publishes_is_four_times_what_they_waited(seconds):
    """An answer takes a millisecond where nothing is to be waited for."""
    expected = min(LONGEST, max(SHORTEST, seconds, 4 * (seconds - 0.001)))
    assert rest(*[seconds] * 50) == pytest.approx(expected, rel=1e-3)


def test_rest_after_large_publishes_is_as_long_as_each():
    """To take in 900 kB keeps the proxy for some 13 ms, whoever listens: that is no waiting."""
    assert rest(*[0.014] * 50, size=BODY_BYTES) == pytest.approx(0.014, rel=1e-3)


def test_rest_after_full_bodies_is_no_longer_than_each_took():
    """There is more to publish: what waits for it is not spared anything by a longer rest."""
    assert rest(*[0.1] * 50, size=BODY_BYTES) == pytest.approx(0.1, rel=1e-3)
    assert rest(*[0.1] * 50, size=BODY_BYTES // 2) == pytest.approx(2 * 0.09225, rel=1e-2)


@pytest.mark.parametrize("flush", [0.02, 0.1, 0.4])
def test_publishes_wait_for_a_fifth_of_a_flush(flush):
    """To a proxy whose flushes take longer than a rest; with a rest as long as the publish they would wait for half of it."""
    assert busy_proxy(flush, 100) == pytest.approx([flush / 5] * 50, rel=0.1)


def test_publishes_to_a_free_proxy_do_not_wait():
    """Its flushes are shorter than the shortest rest."""
    assert busy_proxy(SHORTEST / 2, 20) == [0.0] * 10


def test_rest_after_one_slow_publish_among_fast_ones_is_short():
    """One slow publish shall not stop the stream for as long."""
    assert rest(*[0.01] * 20, 0.2) == pytest.approx(0.067, abs=0.001)


def test_rest_after_one_slow_publish_is_soon_forgotten():
    """It tells of no load: after five more it is a fifth, after twelve nothing is left of it."""
    assert rest(*[0.001] * 20, 0.4, *[0.001] * 5) < 0.025
    assert rest(*[0.001] * 20, 0.4, *[0.001] * 12) == pytest.approx(SHORTEST)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=20), st.floats(0.001, 0.1))
def test_rest_grows_when_publishes_take_longer(durations, more):
    """A busier proxy gets more rest, never less."""
    assert rest(*[each + more for each in durations]) >= rest(*durations) - 1e-9
