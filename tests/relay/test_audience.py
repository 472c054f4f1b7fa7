"""Who listens: nothing that somebody may listen to is passed over, and a first listener is told how far things are."""

from relay.audience import Audience, Everybody
from relay.chunks import Run
from tests.fakes import ListedSubscriptions

CHANNEL = "orders:t:0"
KEY = ("orders", 0)


def run(topic="orders", partition=0):
    """Return a run of one record."""
    return Run(topic, "t", partition, 5, [(5, b"x", None, None)])


def test_split_where_nothing_is_known_publishes_everything():
    """Another proxy may not tell who listens."""
    audience = Audience(Everybody())
    assert audience.split([run(), run(partition=1)]) == ([run(), run(partition=1)], [])
    assert audience.arrived() == set()


def test_split_publishes_what_somebody_listens_to_as_it_is():
    """Each partition by itself; the channel's name has the deployment's prefix."""
    audience = Audience(ListedSubscriptions({"dev-" + CHANNEL}), "dev-")
    assert audience.split([run(), run(partition=1)]) == ([run()], [run(partition=1)])
    assert audience.listens("orders", "t", 0)
    assert not audience.listens("orders", "t", 1)


def test_arrived_names_what_was_passed_over_and_has_a_listener_now_once():
    """Its position is behind what the listener's hold begins at, perhaps."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    audience.split([run(), run(partition=1)])
    assert audience.arrived() == set()
    subscriptions.add(CHANNEL)
    assert audience.arrived() == {KEY}
    assert audience.arrived() == set()
    assert audience.split([run()]) == ([run()], [])


def test_arrived_leaves_out_what_has_been_published_all_along():
    """A listener of that is where its hold begins, or is repaired at the next item."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    subscriptions.add(CHANNEL)
    audience.split([run()])
    assert audience.arrived() == set()


def test_doubtful_is_what_was_passed_over_where_nobody_can_tell_any_more():
    """A listener may have come meanwhile, or never have gone."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    audience.split([run()])
    assert audience.doubtful() == set()
    subscriptions.known = False
    assert audience.doubtful() == {KEY}
    assert audience.doubtful() == set()
    assert audience.split([run()]) == ([run()], [])
