"""Where pages end, for clients that come back at different places."""

import math

import pytest

from kafkasse.milestones import KNOWN_SECONDS, LATELY, MOST, STREAMS, Milestones
from tests.fakes import ManualClock

TOPICS = (("1abcdefgh",), None)


def at(first, second):
    """Return a place in a topic of two partitions."""
    return {("orders", 0): first, ("orders", 1): second}


FAR = at(1_000_000, 1_000_000)


@pytest.fixture
def clock():
    """Return a clock that a test moves."""
    return ManualClock()


@pytest.fixture
def passed(clock):
    """Return the milestones of a topic whose partitions have got 1,000 and 500 records a second, for three seconds."""
    found = Milestones(clock)
    for second in range(4):
        found.passed(TOPICS, at(1000 * second, 500 * second))
        clock.advance(1)
    return found


@pytest.mark.parametrize("start", [at(0, 0), at(10, 490), at(990, 0), at(1000, 490)])
def test_next_is_the_same_for_all_between_two(passed, start):
    """Whatever their places are, they go on from the same one."""
    assert passed.next(TOPICS, start, FAR) == at(1000, 500)


@pytest.mark.parametrize(("start", "found"), [(at(1000, 500), at(2000, 1000)), (at(1500, 2000), FAR)])
def test_next_leads_on_and_never_back(passed, start, found):
    """Who is at one goes to the next; who is ahead of it in one partition does not."""
    assert passed.next(TOPICS, start, FAR) == found


def test_next_is_no_farther_than_the_stop(passed):
    """A stream may end earlier, and the relay may have been set back."""
    assert passed.next(TOPICS, at(0, 0), at(990, 600)) == at(990, 600)


def test_next_is_of_the_partitions_that_are_asked_for(passed):
    """A stream of one partition has its own pages."""
    assert passed.next(TOPICS, {("orders", 1): 20}, {("orders", 1): 4000}) == {("orders", 1): 500}


def test_next_of_a_partition_that_was_added_begins_with_it(passed, clock):
    """Before, it had nothing; a topic without a position has nothing either."""
    start = at(3000, 1500) | {("orders", 2): 0}
    stop = at(5000, 2500) | {("orders", 2): 9}
    assert passed.next(TOPICS, start, stop) == stop
    passed.passed(TOPICS, at(4000, 2000) | {("orders", 2): None})
    assert passed.next(TOPICS, start, stop) == at(4000, 2000) | {("orders", 2): 0}


def test_passed_keeps_one_a_second(clock):
    """Many ask at the same moment, and each look-up tells another place."""
    found = Milestones(clock)
    for at_once in (1000, 1100, 1200):
        found.passed(TOPICS, at(at_once, 0))
    clock.advance(1)
    found.passed(TOPICS, at(2000, 0))
    assert found.next(TOPICS, at(1000, 0), FAR) == at(2000, 0)


def test_passed_forgets_the_oldest(clock):
    """Neither the places of a stream nor the streams become ever more."""
    found = Milestones(clock)
    for second in range(MOST + 5):
        found.passed(TOPICS, at(1000 * second, 0))
        clock.advance(1)
    assert found.next(TOPICS, at(0, 0), FAR) == at(5000, 0)
    for number in range(STREAMS):
        found.passed(((f"other-{number}",), None), {})
    assert found.next(TOPICS, at(0, 0), FAR) == FAR


def test_passed_keeps_none_of_a_topic_that_stands_still(passed, clock):
    """Pages would end for nothing: each is a request."""
    clock.advance(60)
    passed.passed(TOPICS, at(3100, 1550))
    assert passed.next(TOPICS, at(3000, 1500), FAR) == FAR


def test_next_of_who_is_near_is_the_stop(passed):
    """It gets what it lacks at once, and is held."""
    assert passed.next(TOPICS, at(900, 450), at(1500, 750)) == at(1500, 750)


def test_passed_keeps_what_it_knows_when_an_older_look_up_comes_late(passed):
    """Of two threads that ask Kafka, the first may be the last to tell."""
    passed.passed(TOPICS, at(2900, 1450))
    assert passed.next(TOPICS, at(0, 0), FAR) == at(1000, 500)
    assert passed.speed(TOPICS) > 0


def test_speed_is_what_all_partitions_get(passed):
    """In records a second; nothing is known of what was asked for once, or never."""
    assert passed.speed(TOPICS) == pytest.approx(4500 / 4)
    assert passed.seconds(TOPICS, 9000) == pytest.approx(8)
    passed.passed((("1abcdefgh",), 1), at(0, 0))
    assert passed.speed((("1abcdefgh",), 1)) == passed.speed((("unknown",), None)) == 0
    assert passed.seconds((("1abcdefgh",), 1), 300) == math.inf


def test_speed_is_that_of_late(passed, clock):
    """A topic that was fast an hour ago is not, and one that was quiet until now is known as fast soon."""
    clock.advance(3600)
    assert 1 < passed.speed(TOPICS) < 2
    for number in range(10):
        passed.passed(TOPICS, at(10_000 * (number + 1), 0))
        clock.advance(1)
    assert passed.speed(TOPICS) == pytest.approx(9000)


def test_speed_is_low_as_soon_as_a_fast_topic_was_quiet_for_a_while(passed, clock):
    """While it is asked for; less than a thousand records are no milestone, and are noted all the same."""
    for second in range(int(LATELY) + 1):
        passed.passed(TOPICS, at(3000 + second, 1500))
        clock.advance(1)
    assert passed.speed(TOPICS) == pytest.approx(1, abs=0.1)


def test_known_speed_is_none_for_a_while_after_nobody_asked(passed, clock):
    """How fast it was meanwhile is not known: the records that it got may all be of the last second."""
    clock.advance(3600)
    passed.passed(TOPICS, at(3000, 1500))
    assert passed.known_speed(TOPICS) is None
    assert passed.speed(TOPICS) == 0
    clock.advance(KNOWN_SECONDS)
    passed.passed(TOPICS, at(5000, 2500))
    assert passed.known_speed(TOPICS) == passed.speed(TOPICS) == pytest.approx(3000 / KNOWN_SECONDS)


def test_known_speed_is_none_until_it_is_told_by_more_than_a_moment(passed, clock):
    """A relay that was late makes up for it, which is no speed; a topic that stands still is known, too."""
    assert passed.known_speed(TOPICS) is None
    clock.advance(KNOWN_SECONDS - 4)
    assert passed.known_speed(TOPICS) == passed.speed(TOPICS) == pytest.approx(4500 / KNOWN_SECONDS)
    assert passed.known_speed((("unknown",), None)) is None
    still = (("still",), None)
    passed.passed(still, at(7, 7))
    clock.advance(KNOWN_SECONDS)
    assert passed.known_speed(still) == 0
