"""One request, one deadline."""

from __future__ import annotations

import threading

import pytest

from kafkasse import deadline


def test_left_outside_of_a_request_is_what_is_asked_for():
    """A management command has all the time of each question."""
    assert deadline.left() == deadline.SECONDS
    assert deadline.left(1) == 1


def test_left_runs_down_and_never_out(monkeypatch):
    """Whoever asks last gets what the others have left over."""
    now = [100.0]
    monkeypatch.setattr("kafkasse.deadline.time.monotonic", lambda: now[0])
    with deadline.begun():
        assert deadline.left() == pytest.approx(2.5)
        assert deadline.left(2) == 2
        now[0] += 1.5
        assert deadline.left(2) == pytest.approx(1)
        now[0] += 9
        assert deadline.left() == deadline.SHORTEST
    assert deadline.left() == deadline.SECONDS


def test_left_of_another_thread_is_its_own():
    """Requests do not share their time."""
    found = []
    with deadline.begun():
        other = threading.Thread(target=lambda: found.append(deadline.left()))
        other.start()
        other.join()
    assert found == [deadline.SECONDS]
