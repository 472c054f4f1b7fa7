"""Which partitions are due: those that have been silent for long, and are the relay's."""

from relay.reminders import MOST, SILENCE, Reminders

A, B = ("orders", 0), ("orders", 1)


def test_due_after_a_silence_and_then_after_each_further_one():
    """A client may fall behind, and catch up, at any time."""
    reminders = Reminders()
    assert reminders.due([A], 0) == []
    assert reminders.due([A], SILENCE - 0.1) == []
    assert reminders.due([A], SILENCE + 1) == [A]
    assert reminders.due([A], SILENCE + 2) == []
    assert reminders.due([A], 2 * SILENCE + 1) == [A]


def test_due_counts_from_the_last_item_of_each_partition():
    """The next item of a busy partition says as much as a reminder."""
    reminders = Reminders()
    reminders.due([A, B], 0)
    reminders.published([B], SILENCE - 1)
    assert reminders.due([A, B], SILENCE + 1) == [A]


def test_due_leaves_out_what_is_another_relays_by_now():
    """A reminder at an old position would have all its clients repaired."""
    reminders = Reminders()
    reminders.due([A, B], 0)
    assert reminders.due([B], SILENCE + 1) == [B]
    assert reminders.due([A, B], SILENCE + 3) == []


def test_due_names_so_many_at_a_time():
    """There may be tens of thousands; the others follow at the next look."""
    many = [("orders", number) for number in range(MOST + 1)]
    reminders = Reminders()
    reminders.due(many, 0)
    first = reminders.due(many, SILENCE)
    second = reminders.due(many, SILENCE + 1)
    assert (len(first), len(second)) == (MOST, 1)
    assert sorted(first + second) == many


def test_busy_are_topics_that_had_items_on_their_own_chains_since_the_last_time():
    """At once, and then twice in each of the proxy's timeouts: one that begins at any time has such an item in it."""
    reminders = Reminders(next_timeout=10)
    assert reminders.busy(0) == set()
    reminders.published([("orders", None), ("users", 0)], 1)
    assert reminders.busy(1) == {"orders"}
    reminders.published([("orders", None)], 2)
    assert reminders.busy(5.9) == set()
    assert reminders.busy(6) == {"orders"}
    assert reminders.busy(20) == set()


def test_busy_topics_are_told_of_each_at_its_time():
    """One that begins while another is busy need not wait for that."""
    reminders = Reminders(next_timeout=10)
    reminders.published([("orders", None)], 0)
    assert reminders.busy(0) == {"orders"}
    reminders.published([("orders", None), ("users", None)], 1)
    assert reminders.busy(1) == {"users"}
    assert reminders.busy(5) == {"orders"}


def test_busy_leaves_out_what_was_just_reminded_of():
    """Clients of a silent topic are asked for, and get a heartbeat."""
    reminders = Reminders(next_timeout=10)
    reminders.due([("orders", None)], 0)
    assert reminders.due([("orders", None)], SILENCE) == [("orders", None)]
    assert reminders.busy(SILENCE) == set()


def test_spared_are_the_clients_of_a_topic_that_was_busy_until_they_are_asked_for():
    """Those of its partitions are asked for all the time."""
    reminders = Reminders(next_timeout=10)
    reminders.published([("orders", None), ("orders", 0), ("users", 0)], 0)
    assert not reminders.spared(("orders", None))  # it has not been told yet
    reminders.busy(0)
    assert not reminders.spared(("orders", 0))
    assert not reminders.spared(("users", None))
    assert reminders.spared(("orders", None))
    assert not reminders.spared(("orders", None))
