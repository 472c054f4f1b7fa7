"""The chain starts, serves and stops part by part."""

import http.client

import pytest

from tests.harness.check import NumberedWriter, check
from tests.harness.stack import status
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance


def test_stack_delivers_what_is_written(stack, kafka, topic):
    """One client gets every record, from Kafka to the proxy's port."""
    with stack.client(topic) as client:
        client.wait_open()
        last = NumberedWriter(kafka.bootstrap, topic).write(1000)
        client.wait_for(1000, 20)
    check(client.records, last).assert_ok()
    assert client.repeated() == []


def test_stack_answers_by_both_ways(stack):
    """The same page through the proxy and past it."""
    assert status(stack.url("/")) == status(stack.direct_url("/")) == http.client.OK


def test_make_stack_parts_stop_and_start_by_themselves(make_stack, kafka, topic):
    """Each part can be ended, is then away, and works again after a start; nothing is left in the end."""
    chain = make_stack(kafka)
    everyone = [chain.django, chain.pushpin, *chain.relays]
    chain.django.restart()
    chain.pushpin.kill()
    assert status(chain.url("/")) == 0
    chain.pushpin.start()
    assert chain.relays[0].terminate(5) == 0
    chain.relays[0].start()
    assert status(chain.url("/")) == http.client.OK
    used = [part.usage() for part in everyone]
    assert all(used)
    assert len(used[1]) > 3, "Pushpin's processes belong to the part"
    chain.close()
    until(lambda: not any(part.usage() for part in everyone), 5, "all processes are gone")
    assert not chain.run_dir.exists()
