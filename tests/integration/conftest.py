"""Fixtures for the tests of the views: a mock cluster, and views that ask it."""

import itertools

import pytest

from kafkasse import direct, history, milestones, pages, positions, turns
from tests.harness.mock_kafka import MockKafka

_numbers = itertools.count()
# As they are, whatever a test puts in their place.
LOOKUP = positions.lookup
OTHERS = history.readers, pages.pages, direct._places, turns.turns, milestones.milestones  # noqa: SLF001


@pytest.fixture(scope="session")
def shared_cluster():
    """Start one cluster for all tests that do it no harm."""
    cluster = MockKafka()
    yield cluster
    cluster.close()


@pytest.fixture
def own_cluster():
    """Start a cluster that the test may take down."""
    cluster = MockKafka()
    yield cluster
    cluster.close()


def forget():
    """Leave what a process keeps for its requests to the garbage, so that the next request makes it anew.

    Nothing is waited for: a question that Kafka does not answer is still under way for seconds.
    """
    if LOOKUP.is_made:
        LOOKUP()._thread.shutdown(wait=False, cancel_futures=True)  # noqa: SLF001
    for each in (LOOKUP, *OTHERS):
        each.forget()


@pytest.fixture
def clean_history():
    """Begin and end without look-up and readers."""
    forget()
    yield
    forget()


@pytest.fixture
def cluster(shared_cluster, settings, clean_history):
    """Let the views ask the shared cluster."""
    settings.KAFKA_CONSUMER_CONFIG = shared_cluster.config
    return shared_cluster


@pytest.fixture
def fragile(own_cluster, settings, clean_history):
    """Let the views ask a cluster of the test's own."""
    settings.KAFKA_CONSUMER_CONFIG = own_cluster.config
    return own_cluster


@pytest.fixture
def topic():
    """Return a name that no other test uses."""
    return f"topic-{next(_numbers)}"
