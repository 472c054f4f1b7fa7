"""Who listens: nothing that somebody may listen to is passed over, and a first listener is told how far things are."""

from relay.audience import Audience, Everybody
from tests.fakes import ListedSubscriptions

CHANNEL = "orders:t:0"
KEY = ("orders", 0)


ONE, OTHER = ("orders", "t", 0), ("orders", "t", 1)


def test_unheard_where_nothing_is_known_is_nothing():
    """Another proxy may not tell who listens."""
    audience = Audience(Everybody())
    assert audience.unheard([ONE, OTHER]) == set()
    assert audience.arrived() == audience.doubtful() == set()


def test_unheard_is_what_nobody_listens_to():
    """Each partition by itself; the channel's name has the deployment's prefix."""
    audience = Audience(ListedSubscriptions({"dev-" + CHANNEL}), "dev-")
    assert audience.unheard([ONE, OTHER]) == {("orders", 1)}
    assert audience.listens("orders", "t", 0)
    assert not audience.listens("orders", "t", 1)


def test_arrived_names_what_was_passed_over_and_has_a_listener_now_once():
    """Its position is behind what the listener's hold begins at, perhaps."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    audience.unheard([ONE, OTHER])
    assert audience.arrived() == set()
    subscriptions.add(CHANNEL)
    assert audience.arrived() == {KEY}
    assert audience.arrived() == set()
    assert audience.unheard([ONE]) == set()


def test_arrived_leaves_out_what_has_been_published_all_along():
    """A listener of that is where its hold begins, or is repaired at the next item."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    subscriptions.add(CHANNEL)
    audience.unheard([ONE])
    assert audience.arrived() == set()


def test_doubtful_is_what_was_passed_over_where_nobody_can_tell_any_more():
    """A listener may have come meanwhile, or never have gone."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    audience.unheard([ONE])
    assert audience.doubtful() == set()
    subscriptions.known = False
    assert audience.doubtful() == {KEY}
    assert audience.doubtful() == set()
    assert audience.unheard([ONE]) == set()
