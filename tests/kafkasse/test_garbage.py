"""Looking for garbage seldom: what there is by then is never looked through, and a page's records do not set it off."""

import gc

import pytest

from kafkasse import garbage


@pytest.fixture(autouse=True)
def as_before():
    """Leave Python as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def collections():
    """Return how often Python has looked."""
    return sum(generation["collections"] for generation in gc.get_stats())


def test_look_seldom_a_pages_records_are_not_looked_through():
    """Thousands of objects that are alive at the same time, as those of a page, are no reason to look."""
    garbage.look_seldom()
    gc.collect()
    before = collections()
    records = [[number] for number in range(garbage.OBJECTS - 10_000)]
    assert collections() == before
    assert len(records) > 10_000


def test_look_seldom_cycles_are_found_all_the_same():
    """What refers to itself is freed once there is enough of it."""
    garbage.look_seldom()
    before = collections()
    for _ in range(2 * garbage.OBJECTS):
        cycle = []
        cycle.append(cycle)
    assert collections() > before
    assert gc.get_freeze_count() > 1000
