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
