"""What the tests share: Kafka, the mock cluster, the whole chain; and the logs of all of it when a test fails."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import processes
from tests.harness.kafka import KafkaBroker
from tests.harness.mock_kafka import MockKafka
from tests.harness.stack import Options, Stack

TOPICS_AT_ONCE = 40
REAL = {"own_kafka_creating", "kafka", "own_kafka", "stack", "make_stack"}
"""Fixtures that start real processes: who asks for one of them is an acceptance test."""

# How long it takes to make an example says how busy the machine is, not what is wrong.
settings.register_profile("tests", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it asks for, so that no mark can be forgotten; put the modules of the long ones first."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & REAL:
            item.add_marker(pytest.mark.acceptance)
        elif "mock_kafka" in fixtures:
            item.add_marker(pytest.mark.integration)
    # One that began last would keep a process of several busy alone.  Modules stay together: each starts a chain.
    # (pytest-randomly has put all in its order before.)
    modules = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: (item.path not in modules, item.get_closest_marker("long") is None))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the end of each process's log to the report of a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        for process in processes.started:
            state = "runs" if process.alive else f"ended with {process.returncode}"
            report.sections.append((f"{process.name} ({state}): {process.log_path}", process.tail()))


def pytest_runtest_logfinish() -> None:
    """Forget the processes of the test that is over."""
    processes.forget_ended()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Start one real Kafka for all tests that do it no harm."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


class UnusedTopics:
    """Topics with four partitions that no test has used.

    Many are made at once: a relay takes up to five seconds to find a new one.  Not all that will be needed: each relay
    that is started reads them all.
    """

    def __init__(self, kafka: KafkaBroker) -> None:
        """Make the first ones."""
        self._kafka, self._made = kafka, 0
        self._names = self._more()

    def _more(self) -> list[str]:
        names = [f"unused-{number}" for number in range(self._made, self._made + TOPICS_AT_ONCE)]
        self._kafka.create_topics(names)
        self._made += len(names)
        return names

    def pop(self) -> str:
        """Return one of them, which is then used."""
        self._names = self._names or self._more()
        return self._names.pop()


@pytest.fixture(scope="session")
def unused_topics(kafka: KafkaBroker) -> UnusedTopics:
    """Return topics with four partitions in the shared Kafka that no test has used."""
    return UnusedTopics(kafka)


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Start a real Kafka that the test may stop, kill and fill."""
    with KafkaBroker(tmp_path_factory.mktemp("own-kafka")) as broker:
        yield broker


@pytest.fixture
def mock_kafka() -> Iterator[MockKafka]:
    """Start librdkafka's mock cluster, empty."""
    cluster = MockKafka()
    yield cluster
    cluster.close()


@pytest.fixture
def topic(unused_topics: UnusedTopics) -> str:
    """Return a topic with four partitions in the shared Kafka that no test has used."""
    return unused_topics.pop()


@pytest.fixture(scope="session")
def stack(
    kafka: KafkaBroker, unused_topics: UnusedTopics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Run the whole chain in front of the shared Kafka, for all tests that do it no harm."""
    with Stack(kafka, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Return a function that makes a chain of the test's own: `make_stack(kafka, relays=2, relay_env={…})`.

    The keywords are those of `tests.harness.stack.Options`; with `start=False` nothing runs yet.
    """
    with ExitStack() as made:

        def make(broker: KafkaBroker, *, start: bool = True, **options: Any) -> Stack:
            chain = Stack(broker, tmp_path_factory.mktemp("own-stack"), Options(**options))
            made.callback(chain.close)
            return chain.start() if start else chain

        yield make
