"""What a process has one of: made when it is asked for, and by one of those who ask."""

import threading

from kafkasse.once import Once


def test_once_is_made_when_it_is_first_asked_for():
    """Not before: what was made before a fork would not work behind it."""
    made = []
    one = Once(lambda: made.append(1) or object())
    assert not one.is_made
    assert made == []
    assert one() is one()
    assert one.is_made
    assert made == [1]


def test_once_is_made_by_one_of_those_who_ask_at_the_same_time():
    """The others wait, and get the same."""
    go, made, found = threading.Event(), [], []

    def make():
        made.append(1)
        assert go.wait(5)
        return object()

    one = Once(make)
    threads = [threading.Thread(target=lambda: found.append(one())) for _ in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(5)
    assert made == [1]
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_once_that_fails_is_tried_again():
    """Kafka may have been away."""
    answers = [1, 0]
    one = Once(lambda: 1 // answers.pop())
    try:
        one()
    except ZeroDivisionError:
        assert not one.is_made
    assert one() == 1


def test_forget_has_it_made_anew():
    """Each test has its own."""
    one = Once(object)
    first = one()
    one.forget()
    assert not one.is_made
    assert one() is not first
