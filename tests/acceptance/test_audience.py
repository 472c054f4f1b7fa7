"""What nobody listens to is not published, and whoever comes misses nothing by it."""

import itertools
import json
import os
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.check import check
from tests.harness.cursors import positions_of
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

TOPICS, PARTITIONS = 50, 4
ARRIVALS = int(os.environ.get("ARRIVALS", "100"))
RATE = 500  # records a second, over all topics
PARALLEL = 20  # clients at a time
STAY = 10  # records that each of them waits for


class Writer:
    """Writes numbered records to many topics, in turn over all partitions of them, until it is closed."""

    def __init__(self, kafka, names):
        """Prepare; `with` starts it."""
        self._producer = kafka.producer()
        self._places = list(itertools.product(range(PARTITIONS), names))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def __enter__(self):
        """Write."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._ending.set()
        self._thread.join(10)
        self._producer.flush(10)

    def _run(self):
        began, written = time.monotonic(), 0
        for number in itertools.count():
            for partition, name in self._places:
                value = json.dumps({"p": partition, "seq": number}).encode()
                self._producer.produce(name, value, partition=partition)
                self._producer.poll(0)
                written += 1
                ahead = began + written / RATE - time.monotonic()
                if self._ending.wait(ahead) if ahead > 0.001 else self._ending.is_set():
                    return


def judged(stack, name, ends):
    """Let one client stay for a while; judge its records from the positions at which it began, and return those.

    It begins at `ends` or later.
    """
    with stack.client(name, reconnect=True, max_retry=0.5) as client:
        client.wait_for(STAY, 60)
    opened = next(notice for notice in client.notices if notice.type == "stream-open")
    last, first = defaultdict(int), positions_of(opened.id)
    assert all(first[partition] >= end for partition, end in ends.items()), (first, ends)
    for event in client.records:
        value = json.loads(event.data)
        last[value["p"]] = max(last[value["p"]], value["seq"])
    check(client.records, last, first=first).assert_ok()
    return {partition: first[partition] for partition in last}


def test_arrivals_at_what_nobody_listened_to_get_everything_from_their_first_record_on(own_kafka, make_stack):
    """A hundred clients, or ARRIVALS; fifty of them are the first of their topic.  Records pass all the time.

    Some are passed over between the position from which a view has a client start and the relay's first word of it.  And
    who comes first begins where the logs end, however long ago the relay has looked there.
    """

    def arrive(number):
        name = names[number % TOPICS]
        return judged(stack, name, own_kafka.end_offsets(name) if number < TOPICS else {})

    names = [f"arrivals-{number}" for number in range(TOPICS)]
    own_kafka.create_topics(names, PARTITIONS)
    stack = make_stack(own_kafka)
    relay = stack.relays[0]
    relay.wait_log("Publishing what is listened to", 20)
    with Writer(own_kafka, names), ThreadPoolExecutor(PARALLEL) as clients:
        for name in names:
            until(
                lambda name=name: min(own_kafka.committed(stack.group, name).values()) > 0, 30, "records pass"
            )
        starts = list(clients.map(arrive, range(ARRIVALS)))
    assert len(starts) == ARRIVALS
    # Those who come first start where nothing has been published yet: else this would show nothing.
    assert min(min(start.values()) for start in starts) > 0
