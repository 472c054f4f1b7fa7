"""When a client is given up: not while it never had an answer, and only after some time without one."""

import threading
import weakref

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkasse import renewal
from kafkasse.renewal import PATIENCE, Renewal, give_up
from tests.harness.wait import until


def test_missing_after_an_answer_for_long_gives_up():
    """The time counts from the first question that had no answer."""
    found = Renewal()
    found.came()
    assert not found.missing(100)
    assert not found.missing(100 + PATIENCE - 0.1)
    assert found.missing(100 + PATIENCE)


def test_missing_after_an_answer_in_between_counts_anew():
    """One that answers now and then is alive."""
    found = Renewal()
    found.came()
    found.missing(100)
    found.came()
    assert not found.missing(100 + PATIENCE)


def test_missing_of_a_client_that_never_had_an_answer_keeps_it():
    """Kafka is away; another client would not reach it either."""
    found = Renewal()
    assert not any(found.missing(now) for now in range(1000))


@pytest.mark.parametrize(
    ("code", "answered"),
    [
        (KafkaError._TIMED_OUT, False),  # noqa: SLF001
        (KafkaError._TRANSPORT, False),  # noqa: SLF001
        (KafkaError._ALL_BROKERS_DOWN, False),  # noqa: SLF001
        (KafkaError.REQUEST_TIMED_OUT, True),
        (KafkaError.NOT_COORDINATOR, True),
    ],
)
def test_failed_is_missing_unless_a_broker_says_no(code, answered):
    """Then it is an answer, and the time counts anew."""
    found, error = Renewal(), KafkaException(KafkaError(code))
    found.came()
    assert not found.failed(error, 100)
    assert found.failed(error, 100 + PATIENCE) == (not answered)
    found.missing(200)
    found.failed(error, 200)
    assert found.missing(200 + PATIENCE) == (not answered)


def test_give_up_ends_clients_later_and_elsewhere(monkeypatch):
    """One that has no `close` ends with its last reference, which is not held any longer either."""
    closed = []

    class Client:
        def close(self):
            closed.append(threading.current_thread())

    class Other:
        pass

    monkeypatch.setattr(renewal, "UNUSED", 0.01)
    other = Other()
    is_there = weakref.ref(other)
    give_up(Client(), other)
    del other
    until(lambda: closed and is_there() is None, 5, "both have ended")
    assert closed[0] is not threading.current_thread()
