"""Who listens: nothing that somebody may listen to is passed over, and a first listener is told how far things are."""

from relay.audience import Audience, Everybody
from tests.fakes import ListedSubscriptions

TAG = "t"
CHANNEL = "orders:t:0"
ONE, OTHER = ("orders", 0), ("orders", 1)


def test_heard_where_nothing_is_known_is_everything():
    """Another proxy may not tell who listens."""
    audience = Audience(Everybody())
    assert audience.heard([ONE, OTHER], TAG) == [ONE, OTHER]
    assert audience.arrived() == audience.doubtful() == set()


def test_heard_is_what_somebody_listens_to():
    """Each partition by itself; the channel's name has the deployment's prefix."""
    audience = Audience(ListedSubscriptions({"dev-" + CHANNEL}), "dev-")
    assert audience.heard([ONE, OTHER], TAG) == [ONE]
    assert audience.listens(ONE, TAG)
    assert not audience.listens(OTHER, TAG)


def test_arrived_names_what_was_passed_over_and_has_a_listener_now_once():
    """Its position is behind what the listener's hold begins at, perhaps."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    assert audience.heard([ONE, OTHER], TAG) == []
    assert audience.arrived() == set()
    subscriptions.add(CHANNEL)
    assert audience.arrived() == {ONE}
    assert audience.arrived() == set()
    assert audience.heard([ONE], TAG) == [ONE]


def test_arrived_leaves_out_what_has_been_published_all_along():
    """A listener of that is where its hold begins, or is repaired at the next item."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    subscriptions.add(CHANNEL)
    assert audience.heard([ONE], TAG) == [ONE]
    assert audience.arrived() == set()


def test_doubtful_is_what_was_passed_over_where_nobody_can_tell_any_more():
    """A listener may have come meanwhile, or never have gone."""
    subscriptions = ListedSubscriptions()
    audience = Audience(subscriptions)
    assert audience.heard([ONE], TAG) == []
    assert audience.doubtful() == set()
    subscriptions.known = False
    assert audience.doubtful() == {ONE}
    assert audience.doubtful() == set()
    assert audience.heard([ONE], TAG) == [ONE]


def test_heard_tells_a_whole_topic_from_its_partitions():
    """Its records go by either channel, or by both, and each is passed over by itself."""
    whole = ("orders", None)
    subscriptions = ListedSubscriptions({"dev-orders:t:all"})
    audience = Audience(subscriptions, "dev-")
    assert audience.heard([ONE, whole], TAG) == [whole]
    subscriptions.channels = {"dev-" + CHANNEL}
    assert audience.heard([ONE, whole], TAG) == [ONE]
    subscriptions.add("dev-orders:t:all")
    assert audience.heard([ONE, whole], TAG) == [ONE, whole]
    assert audience.arrived() == {whole}
