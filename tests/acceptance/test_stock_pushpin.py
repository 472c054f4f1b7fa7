"""A Pushpin with the limits it comes with: it drops in silence, and still nothing is lost."""

import httpx
import pytest

from kafkasse import pushpin_options
from tests.harness import stock_pushpin
from tests.harness.check import NumberedWriter, check
from tests.harness.environment import clean
from tests.harness.processes import Process
from tests.harness.stock_pushpin import STOCK

pytestmark = pytest.mark.acceptance

TIGHT = {**STOCK, "message_rate": 200, "message_hwm": 100}
"""A hundredth of it: what a hundred times the clients would meet."""


@pytest.fixture
def limits():
    """Return the limits that Pushpin comes with; a test may choose others."""
    return STOCK


@pytest.fixture
def stock_stack(kafka, unused_topics, make_stack, limits):
    """Return a chain whose Pushpin has these limits."""
    stack = make_stack(kafka, start=False, django_env={"KAFKASSE_MAX_CHANNELS": "20"})
    options = pushpin_options.Options(
        run_dir=stack.run_dir,
        port=stack.port,
        origin=f"127.0.0.1:{stack.django_port}",
        publish_port=stack.publish_port,
        open_files=4096,
    )
    command = stock_pushpin.prepare(options, limits)
    log = stack.folder / "stock-pushpin.log"
    stack.pushpin = Process(command, clean(), log, "pushpin", ready=stack.pushpin.ready, ready_timeout=30)
    return stack.start()


@pytest.mark.parametrize("limits", [STOCK, TIGHT], ids=["stock", "tight"])
def test_limits_cost_repairs_but_no_record(kafka, stock_stack, topic):
    """Twenty clients get 20,000 records each, far beyond what the tight instance delivers before it drops."""
    writer = NumberedWriter(kafka.bootstrap, topic)
    clients = [stock_stack.client(topic, reconnect=True).start() for _ in range(20)]
    try:
        for client in clients:
            client.wait_open()
        last = writer.write(20_000)
        for client in clients:
            client.wait_for(20_000, 90)
            check(client.records, last).assert_ok()
    finally:
        for client in clients:
            client.close()


def test_stock_channel_limit_is_one_clear_error(kafka, stock_stack):
    """Eighteen partitions are served; nineteen would be cut in silence, and are refused in words."""
    fits = kafka.create_topic(partitions=18)
    with stock_stack.client(fits) as client:
        client.wait_open()
        kafka.produce(fits, b"last", partition=17)
        client.wait_for(1, 20)
    too_many = kafka.create_topic(partitions=19)
    answer = httpx.get(stock_stack.url(f"/events/{too_many}/"), timeout=10)
    assert answer.status_code == 400
    assert "19 partitions" in answer.json()["error"]
