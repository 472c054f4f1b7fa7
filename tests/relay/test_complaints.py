"""What Kafka complains of is said once for each kind, and waited out."""

import logging
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkasse.exceptions import KafkaUnavailableError
from relay.complaints import Complaints, retried


def said(caplog):
    """Return what was logged as a warning or worse."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_say_says_each_kind_once(caplog):
    """A leader that is missing is complained of many times a second."""
    complaints = Complaints()
    for _ in range(3):
        complaints.say(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "no leader"))
    complaints.say(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not allowed"))
    assert said(caplog) == ["Kafka says: no leader", "Kafka says: not allowed"]


def failing(times):
    """Return a call that fails so often before it answers."""
    errors = [KafkaException(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))] * times

    def call():
        if errors:
            raise errors.pop()
        return "answer"

    return call


def test_retried_returns_the_answer_in_the_end_and_says_once_that_it_waits(caplog):
    """The coordinator may move right after the group was formed."""
    assert retried(failing(2), threading.Event()) == "answer"
    assert len(said(caplog)) == 1


def test_retried_ends_with_the_relay():
    """A stop does not wait for Kafka."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(KafkaUnavailableError):
        retried(failing(1000), stop)
