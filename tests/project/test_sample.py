"""`manage.py sample`: what it writes, and what it does when nobody takes it."""

import logging
import random
from itertools import islice

from project.management.commands.sample import CLICKS, PRICES, START_PRICES, Writer, samples
from tests.harness.ports import free_port
from tests.harness.wait import until


def test_samples_every_round_writes_to_both_topics():
    """So that none of them is silent for a second."""
    for written in islice(samples(random.Random(1), lambda: 1.5), 100):  # noqa: S311
        assert {topic for topic, _, _ in written} == {CLICKS, PRICES}


def test_samples_prices_stay_around_where_they_started():
    """After a day of them, too."""
    rounds = samples(random.Random(2), lambda: 1.5)  # noqa: S311
    (written,) = islice(rounds, 200_000, 200_001)
    prices = {key: value["price"] for topic, key, value in written if topic == PRICES}
    assert prices.keys() == START_PRICES.keys()
    assert all(0.3 < price / START_PRICES[name] < 3 for name, price in prices.items())


def test_writer_without_kafka_says_so_once(caplog):
    """And goes on: the demo outlives a broker that is started again."""
    writer = Writer({"bootstrap.servers": f"127.0.0.1:{free_port()}", "message.timeout.ms": 50})

    def failures():
        writer.write("t", "key", {})
        writer.serve()
        return [record for record in caplog.records if record.levelno == logging.WARNING]

    until(failures, 10, "a warning")
    writer.close()
    assert len(failures()) == 1


def test_writer_with_kafka_delivers(mock_kafka):
    """What is written is there after `close`."""
    writer = Writer({"bootstrap.servers": mock_kafka.bootstrap, "group.id": "a consumer's"})
    writer.write("t", "key", {"price": 1.5})
    writer.close()
    assert [value for _, _, value in mock_kafka.read_all("t")] == [b'{"price": 1.5}']
