"""Clients of one topic that come back after a cut, a writer that never rests, and the judgement in the end."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Self

import httpx

from kafkasse.exceptions import CursorError
from relay import chunks
from tests.harness.check import NumberedWriter, Report, check
from tests.harness.cursors import positions_of
from tests.harness.sse import EventSourceClient, Received
from tests.harness.stack import Stack
from tests.harness.wait import until

SCANNED = 4000  # newest events of a client that are looked at for one of each partition


class Crowd:
    """`with Crowd(stack, topic) as crowd:` hurt the stack, wait with `wait_flowing`; then `finish`."""

    def __init__(
        self, stack: Stack, topic: str, *, clients: int = 20, rate: float = 500, **settings: Any
    ) -> None:
        """Prepare clients and writer; `settings` are the clients'."""
        self.stack, self.topic = stack, topic
        options = {"reconnect": True, "max_retry": 0.5, **settings}
        self.clients = [stack.client(topic, **options) for _ in range(clients)]
        self.writer = NumberedWriter(stack.kafka.bootstrap, topic, rate=rate)
        self.expected: dict[int, int] = {}
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Open all streams, start to write, and wait until records flow."""
        try:
            for client in self.clients:
                self._running.enter_context(client)
            for client in self.clients:
                client.wait_open(20)
            self._running.enter_context(self.writer)
            self.wait_flowing(20)
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End clients and writer."""
        self._running.close()

    def hint(self) -> None:
        """Have every client's proxy ask for the next link at once."""
        body = chunks.body([chunks.hint(self.topic)])
        httpx.post(f"{self.stack.grip_url}/publish/", content=body).raise_for_status()

    def wait_flowing(self, timeout: float) -> float:
        """Wait until each client got, of each partition, a record that was written after this call; return seconds."""
        since, began = time.time_ns(), time.monotonic()
        waiting = set(self.clients)

        def flowing() -> bool:
            waiting.difference_update([client for client in waiting if self._flows(client, since)])
            return not waiting

        until(
            flowing,
            timeout,
            lambda: f"records flow: {len(waiting)} wait, {next(iter(waiting)).describe()}",
            0.05,
        )
        return time.monotonic() - began

    def _flows(self, client: EventSourceClient, since: int) -> bool:
        missing = set(range(self.writer.partitions))
        for event in client.events[: -SCANNED - 1 : -1]:
            if event.time < since:
                return False
            if not event.is_notice:
                value = json.loads(event.data)
                if value["t"] > since:
                    missing.discard(value["p"])
            if not missing:
                return True
        return False

    def finish(self, timeout: float = 45) -> list[Report]:
        """Stop writing and judge: nothing lost, repeated within a connection, out of order, or reset."""
        last = {**self.writer.stop(), **self.expected}
        for client in self.clients:
            client.wait_for(lambda c: arrived(c, last), timeout, f"everything up to {last}")
        reports = [check(client.records, last) for client in self.clients]
        for report in reports:
            report.assert_ok()
        assert not self.resets(), self.resets()
        return reports

    def resets(self) -> list[str]:
        """Return what clients were told about breaks in their sequence."""
        return [n.data for client in self.clients for n in client.notices if n.type == "stream-reset"]

    def connections(self) -> set[int]:
        """Return how many connections the clients made each."""
        return {len(client.connections) for client in self.clients}


def positions(client: EventSourceClient) -> dict[int, int]:
    """Return the client's position in each partition, as its last event says."""
    try:
        return positions_of(client.last_event_id)
    except CursorError:
        return {}


def told(client: EventSourceClient) -> list[Received]:
    """Return what a client was told besides that it is live: a repair that finds nothing new says so by a heartbeat."""
    return [event for event in client.notices if event.type != "stream-heartbeat"]


def arrived(client: EventSourceClient, last: Mapping[int, int], tag: str = "") -> bool:
    """Say whether the client is past the last record of each partition; numbers are offsets in a topic of one writer.

    Where the topic may be created again, `tag` says which one it is (docs/reference/cursor.md).
    """
    at = positions(client) if client.last_event_id.startswith(tag) else {}
    return all(at.get(partition, 0) > number for partition, number in last.items())
