"""What the soak counts as growing."""

import random

import pytest

from tests.benchmarks.soak import rises

SAMPLES = 288  # of 24 minutes, one each five seconds


def held(base: float, leak: float, for_a_moment: float, seed: int) -> list[float]:
    """Return what a process held that leaks so much in all, and takes up to so much for a moment, four times of five."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    return [
        base + leak * at / SAMPLES + (chance.uniform(0, for_a_moment) if chance.random() < 0.8 else 0)
        for at in range(SAMPLES)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_leak_is_seen_below_what_is_taken_for_a_moment(seed):
    assert rises(held(40, 12, 30, seed))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_given_back_is_no_growth(seed):
    assert not rises(held(40, 0, 30, seed))


def test_more_load_toward_the_end_is_no_growth_as_long_as_all_of_it_is_given_back():
    chance = random.Random(0)  # noqa: S311 - to be repeated
    busier = [40 + (chance.uniform(0, at / 5) if chance.random() < 0.8 else 0) for at in range(SAMPLES)]
    assert not rises(busier)


def test_what_is_taken_once_and_kept_is_no_growth_when_it_is_little():
    assert not rises([40.0] * (SAMPLES // 2) + [43.0] * (SAMPLES // 2))


def test_what_is_held_for_the_last_fifth_alone_does_not_rise_steadily():
    """A crowd that is still there takes much, and once."""
    assert not rises([40.0] * (SAMPLES * 4 // 5) + [80.0] * (SAMPLES // 5))


@pytest.mark.parametrize("samples", [2, 9, 10, 11, 19])
def test_few_samples_are_enough_to_say_that_nothing_changes(samples):
    assert not rises([40.0] * samples)
