"""What the acceptance tests share besides the harness: clients that are closed however a test ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness.kafka import KafkaBroker
from tests.harness.sse import EventSourceClient


@pytest.fixture
def listen() -> Iterator[Callable[..., EventSourceClient]]:
    """Return a function that starts a client of a URL; the keywords are those of `EventSourceClient`."""
    with ExitStack() as running:

        def start(url: str, **settings: Any) -> EventSourceClient:
            return running.enter_context(EventSourceClient(url, **settings))

        yield start


@pytest.fixture
def own_kafka_creating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Start a real Kafka that creates a topic when a client asks for one."""
    with KafkaBroker(tmp_path_factory.mktemp("creating-kafka"), auto_create=True) as broker:
        yield broker
