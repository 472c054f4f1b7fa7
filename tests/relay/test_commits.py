"""Commits: one at a time, and none forgotten."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkasse.offsets import metadata
from relay import chunks
from relay.chunks import Item
from relay.commits import Commits

MINE = {("t", 0), ("t", 1)}


def unheard(partition, position):
    """Return an item that leads to a position."""
    return chunks.unheard(("t", partition), "tag", position, 1)


class Broker:
    """A consumer that keeps what is committed, or refuses as often as it is told to."""

    def __init__(self, refusals=0):
        """Have committed nothing."""
        self.refusals, self.committed, self.texts = refusals, [], {}

    def poll(self, _timeout):
        """Have no record."""

    def commit(self, offsets, asynchronous):
        """Take the offsets, or refuse."""
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        self.texts = {(each.topic, each.partition): each.metadata for each in offsets}
        self.committed.append(({(each.topic, each.partition): each.offset for each in offsets}, asynchronous))


def test_send_commits_what_is_pending_once():
    """The newest position of a partition says all."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1)], MINE)
    commits.add([unheard(0, 2), unheard(1, 5)], MINE)
    commits.send(broker)
    commits.answered(None, [])
    commits.send(broker)
    assert broker.committed == [({("t", 0): 2, ("t", 1): 5}, True)]
    assert broker.texts == dict.fromkeys(MINE, "tag"), "a position says which topic of its name it is of"


@pytest.mark.parametrize("resting", [set(), {("t", 1)}], ids=["none rests", "one rests"])
@pytest.mark.parametrize("whole", [set(), {"t"}, {"u"}], ids=str)
def test_send_says_which_partitions_rest_and_which_topics_are_a_whole(resting, whole):
    """Views hold their clients by what the newest commit says."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1), unheard(1, 5)], MINE, set(), {"t", "u"} - whole)
    commits.add([unheard(0, 1), unheard(1, 5)], MINE, resting, whole)
    commits.send(broker)
    assert broker.texts == {key: metadata("tag", rests=key in resting, whole=key[0] in whole) for key in MINE}


def test_send_of_items_of_a_whole_topic_commits_all_of_their_partitions():
    """Together: a view finds one of the vectors that are ids."""
    commits, broker = Commits(), Broker()
    first = {("t", 0): 1, ("t", 1): 5}
    commits.add([Item(("t", None), "tag", each, b"{}", 1, 3) for each in (first, {("t", 0): 2})], MINE)
    commits.send(broker)
    assert broker.committed == [({("t", 0): 2, ("t", 1): 5}, True)]


def test_send_leaves_out_partitions_that_are_another_relays_by_now():
    """They were given up while the item was being published; its other positions are true."""
    commits, broker = Commits(), Broker()
    commits.add([Item(("t", None), "tag", {("t", 0): 1, ("t", 1): 5}, b"{}", 2, 3)], {("t", 1)})
    commits.send(broker)
    assert broker.committed == [({("t", 1): 5}, True)]


def test_send_under_way_waits_for_the_answer():
    """Commits do not pile up."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1)], MINE)
    commits.send(broker)
    commits.add([unheard(0, 2)], MINE)
    commits.send(broker)
    assert len(broker.committed) == 1
    commits.answered(None, [])
    commits.send(broker)
    assert broker.committed[1] == ({("t", 0): 2}, True)


def test_send_refused_goes_with_the_next_one():
    """A record that is too large to publish reaches its clients through the committed position alone."""
    for wait in (True, False):
        commits, broker = Commits(), Broker(refusals=1)
        commits.add([unheard(0, 1), unheard(1, 7)], MINE)
        commits.send(broker, wait=wait)
        commits.add([unheard(0, 2)], MINE)
        commits.send(broker, wait=wait)
        assert broker.committed == [({("t", 0): 2, ("t", 1): 7}, not wait)]


def test_answer_with_an_error_goes_with_the_next_one():
    """As long as nothing newer is known."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1), unheard(1, 7)], MINE)
    commits.send(broker)
    commits.add([unheard(0, 2)], MINE)
    commits.answered(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), [])
    commits.send(broker)
    assert broker.committed[1] == ({("t", 0): 2, ("t", 1): 7}, True)


def test_forget_leaves_out_what_another_relay_has():
    """It would move that one's position."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1), unheard(1, 7)], MINE)
    commits.forget([("t", 0)])
    commits.send(broker)
    assert broker.committed == [({("t", 1): 7}, True)]


def test_answer_with_an_error_brings_nothing_back_that_another_relay_has():
    """It was given up while the answer was under way."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1), unheard(1, 7)], MINE)
    commits.send(broker)
    commits.forget([("t", 0)])
    commits.answered(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), [])
    commits.send(broker)
    assert broker.committed[1] == ({("t", 1): 7}, True)


def test_send_that_waits_repeats_what_is_under_way():
    """Whoever waits wants to know it committed, and the answer may be a refusal."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1), unheard(1, 7)], MINE)
    commits.send(broker)
    commits.add([unheard(0, 2)], MINE)
    commits.send(broker, wait=True)
    assert broker.committed[1] == ({("t", 0): 2, ("t", 1): 7}, False)
    commits.answered(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), [])
    commits.send(broker)
    assert len(broker.committed) == 2


def test_finish_tries_again_until_all_is_committed():
    """A relay that stops while its group rebalances leaves nothing that would be published a second time."""
    commits, broker = Commits(), Broker()
    commits.add([unheard(0, 1)], MINE)
    commits.send(broker)
    commits.add([unheard(1, 7)], MINE)
    broker.refusals = 3
    commits.finish(broker, 10)
    assert broker.committed[1] == ({("t", 0): 1, ("t", 1): 7}, False)


def test_finish_gives_up_in_time():
    """What is not committed then is published again, which the chain makes harmless."""
    commits, broker = Commits(), Broker(refusals=10**9)
    commits.add([unheard(0, 1)], MINE)
    commits.finish(broker, 0.1)
    assert broker.committed == []
