"""Which topics a relay has as a whole, and who is to be told when that changes."""

import pytest

from kafkasse.offsets import Committed
from relay.positions import HINTS, Positions

A, B, C = (("orders", each) for each in range(3))
OTHER = ("users", 0)
COUNTS = {"orders": 2, "users": 1}
NOW = 1000.0
LATER = NOW + HINTS[-1] + 1


def record(offset):
    """Return a record as it comes from Kafka."""
    return offset, b"v", None, None


def at(position, *, whole=False):
    """Return what a relay has committed."""
    return Committed(position, whole=whole)


def whole_topic():
    """Return the positions of a relay that has all of `orders`, and has said so, as one that was started again."""
    positions = Positions()
    positions.take({A: at(5, whole=True), B: at(7, whole=True)}, COUNTS)
    assert positions.turned(NOW) == set()
    return positions


# --- What is a whole ----------------------------------------------------------------------------------------------


def test_whole_is_a_topic_with_all_of_its_partitions():
    """And none of which another relay has one."""
    positions = Positions()
    positions.take({A: at(5)}, COUNTS)
    assert set(positions.whole()) == set()
    positions.take({B: at(7), OTHER: at(1)}, COUNTS)
    assert set(positions.whole()) == {"orders", "users"}
    positions.give_up([A], COUNTS)
    assert set(positions.whole()) == {"users"}


@pytest.mark.parametrize("counts", [{}, {"orders": 0}, {"orders": 3}])
def test_whole_is_no_topic_of_which_it_is_not_known_that_these_are_all(counts):
    """What others publish of it would never come to those who are held by one channel."""
    positions = Positions()
    positions.take({A: at(5), B: at(7)}, counts)
    assert set(positions.whole()) == set()


def test_whole_is_nothing_where_topics_are_not_joined():
    """Where it cannot be known who listens, everything would be published twice; and there nobody is told of it."""
    positions = Positions(joins=False)
    positions.take({A: at(5), B: at(7)}, COUNTS)
    assert (set(positions.whole()), positions.turned(NOW), positions.due(LATER)) == (set(), set(), set())


def test_whole_is_nothing_after_a_new_beginning():
    """What the new consumer is given may be less."""
    positions = whole_topic()
    positions.begin()
    assert (dict(positions), set(positions.whole())) == ({}, set())
    positions.take({A: at(5, whole=True)}, COUNTS)
    assert set(positions.whole()) == set()
    assert positions.turned(NOW) == {A}


def test_vector_is_in_the_order_of_the_partitions():
    """Whatever the order in which they came; partition 10 is behind 9."""
    positions = Positions()
    keys = [("orders", each) for each in reversed(range(12))]
    positions.take({key: at(100 + key[1]) for key in keys}, {"orders": 12})
    assert positions.vector("orders") == [100 + each for each in range(12)]


def test_vector_goes_on_with_what_is_read():
    """It is the id of the next item of the topic, once that is published."""
    positions = whole_topic()
    positions.run(B, [record(7), record(8)], "tag")
    assert positions.vector("orders") == [5, 9]
    positions.vector("orders")[0] = 0
    assert positions.vector("orders") == [5, 9], "each asks for one of its own"


# --- When that changes --------------------------------------------------------------------------------------------


def test_restart_that_finds_what_it_would_say_turns_nothing():
    """All holds of all topics would ask at once."""
    positions = Positions()
    found = {A: at(5, whole=True), B: at(7, whole=True), OTHER: at(3)}
    positions.take(found, {"orders": 2, "users": 2})
    assert positions.turned(NOW) == set()
    assert positions.due(LATER) == set()


def test_last_partition_that_is_taken_turns_the_topic():
    """It is said of all of its partitions: a view believes it where each says so."""
    positions = Positions()
    positions.take({A: at(5), OTHER: at(1, whole=True)}, COUNTS)
    assert positions.turned(NOW) == set()
    positions.take({B: at(7)}, COUNTS)
    assert positions.turned(NOW) == {A, B}


def test_last_partition_that_is_taken_from_a_relay_that_had_the_topic_turns_it():
    """What is found there is right; what this relay has said of the others is not."""
    positions = Positions()
    positions.take({A: at(5)}, COUNTS)
    positions.take({B: at(7, whole=True)}, COUNTS)
    assert positions.turned(NOW) == {A, B}


def test_first_partition_that_is_lost_turns_the_topic():
    """Of those that are left; what becomes of the other is said by who gets it."""
    positions = whole_topic()
    positions.give_up([A], COUNTS)
    assert positions.turned(NOW) == {B}
    assert positions.due(LATER) == {"orders"}


def test_further_partition_that_is_lost_turns_nothing():
    """The topic has been none of this relay's before."""
    positions = Positions()
    positions.take({A: at(5), B: at(7)}, {"orders": 3})
    positions.turned(NOW)
    positions.due(LATER)
    positions.give_up([A], {"orders": 3})
    assert (positions.turned(NOW), positions.due(LATER)) == (set(), set())


def test_topic_that_is_lost_as_a_whole_is_the_others_business():
    """There is nothing left to commit, and who has got it tells its holds."""
    positions = whole_topic()
    positions.give_up([A, B], COUNTS)
    assert (positions.turned(NOW), positions.due(LATER)) == (set(), set())


def test_count_that_has_grown_ends_the_whole_until_the_new_partition_is_there():
    """That is another relay's first: its records would never come by the channel of the topic."""
    positions, grown = whole_topic(), {"orders": 3}
    positions.take({B: at(7, whole=True)}, grown)
    assert set(positions.whole()) == set()
    assert positions.turned(NOW) == {A, B}
    positions.take({C: at(1)}, grown)
    assert positions.vector("orders") == [5, 7, 1]
    assert positions.turned(NOW) == {A, B, C}


def test_new_partition_of_a_whole_topic_turns_it():
    """Nobody has said of it yet that it goes with the others."""
    positions = whole_topic()
    positions.take({C: None}, {"orders": 3})
    assert positions.vector("orders") == [5, 7, 0]
    assert positions.turned(NOW) == {A, B, C}


@pytest.mark.parametrize("said", [at(7), None], ids=["that they are not", "nothing"])
def test_commits_of_another_relay_that_do_not_say_whole_turn_a_whole_topic(said):
    """Or of an earlier version: a view that believes one of them holds by partitions, which nobody tells."""
    positions = Positions()
    positions.take({A: at(5, whole=True), B: said}, COUNTS)
    assert positions.turned(NOW) == {A, B}
    assert positions.due(LATER) == {"orders"}


def test_commits_of_another_relay_that_say_whole_turn_what_is_none():
    """That one had the others too; those who are held by its channel would get nothing any more."""
    positions = Positions()
    positions.take({A: at(5, whole=True)}, COUNTS)
    assert positions.turned(NOW) == {A}
    assert positions.due(LATER) == {"orders"}


def test_turned_names_each_partition_once():
    """What is committed is said."""
    positions = Positions()
    positions.take({A: at(5), B: at(7), OTHER: at(1)}, COUNTS)
    assert positions.turned(NOW) == {A, B, OTHER}
    assert positions.turned(NOW) == set()


def test_due_names_a_topic_at_each_of_its_times_and_then_no_more():
    """The second time is for those who were being held by what had been looked up before."""
    positions = Positions()
    positions.take({A: at(5), B: at(7)}, COUNTS)
    assert positions.due(LATER) == set(), "nothing is committed yet"
    positions.turned(NOW)
    told = []
    for after in HINTS:
        told += [positions.due(NOW + after - 0.01), positions.due(NOW + after), positions.due(NOW + after)]
    assert told == [set(), {"orders"}, set()] * len(HINTS)
    assert positions.due(LATER) == set()


def test_due_names_a_topic_once_though_it_was_to_be_told_several_times_by_now():
    """A publish may have taken long."""
    positions = Positions()
    positions.take({A: at(5), B: at(7), OTHER: at(1)}, COUNTS)
    positions.turned(NOW)
    assert positions.due(LATER) == {"orders", "users"}
    assert positions.due(LATER) == set()


# --- Runs ---------------------------------------------------------------------------------------------------------


def test_run_joins_the_one_before():
    """What has been read, as after a rewind, is left out."""
    positions = whole_topic()
    assert positions.run(A, [record(5), record(6)], "tag").position == 5
    assert positions.run(A, [record(6)], "tag") is None
    found = positions.run(A, [record(6), record(9)], "tag")
    assert (found.key, found.tag, found.position, found.records) == (A, "tag", 7, [record(9)])
    assert positions[A] == 10


def test_run_of_a_partition_that_is_another_relays_is_none():
    """It publishes that, too."""
    positions = whole_topic()
    positions.give_up([B], COUNTS)
    assert positions.run(B, [record(7)], "tag") is None
    assert B not in positions


def firsts(positions, *keys):
    """Return of the next run of each partition whether it is a first one."""
    return [positions.run(key, [record(positions[key])], "tag").first for key in keys]


def test_moved_partition_makes_the_next_run_of_every_partition_of_its_topic_a_first_one():
    """The chain of the topic goes on elsewhere, whichever is read next; of another topic, none does."""
    positions = Positions()
    positions.take({A: at(5), B: at(7), OTHER: at(1)}, COUNTS)
    assert firsts(positions, A, B, OTHER) == [True] * 3
    assert firsts(positions, A, B, OTHER) == [False] * 3
    positions.moved([A])
    assert firsts(positions, B, OTHER, A) == [True, False, True]
    assert firsts(positions, A, B) == [False] * 2


def test_taken_partition_makes_the_next_run_of_every_partition_of_its_topic_a_first_one():
    """It begins where another relay has ended, and so does the topic's chain."""
    positions = Positions()
    positions.take({A: at(5)}, COUNTS)
    firsts(positions, A)
    positions.take({B: at(7)}, COUNTS)
    assert firsts(positions, A, B) == [True] * 2
