"""What the tests of the web side share."""

import pytest

from kafkasse import positions, resume
from tests.kafkasse.fakes import FakeLookup


@pytest.fixture
def fake_lookup(monkeypatch):
    """Answer all questions about Kafka from memory; the test says what is in it."""
    fake = FakeLookup()
    for module in (positions, resume):
        monkeypatch.setattr(module, "lookup", lambda: fake)
    return fake
