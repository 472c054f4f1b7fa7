"""Clients of five kinds."""

import random
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from typing import Self

from tests.acceptance.crowd import arrived
from tests.harness.sse import EventSourceClient
from tests.harness.wait import until

KINDS = {
    "stays": "is cut off by nobody but a fault, and comes back at once",
    "reconnects": "breaks its connection off every second or two, and comes back at once",
    "slow": "does not read for a second, then reads for one",
    "cut off": "loses its connection as the fault begins, and comes back after two seconds",
    "as a browser": "comes back when the server's `retry:` says so",
}
QUICK = 0.5  # seconds
ROUND = 0.2  # seconds between two looks at who is to do what
LITTLE = 16_384  # bytes that the system takes on behalf of a slow client
# A loopback's are longer than such a window: Linux then sends one in 200 ms, which is less than the stream brings.
SEGMENT = 1448  # bytes, as on an Ethernet


class Audience:
    """So many clients of each kind, of one URL; for use in a `with` statement."""

    def __init__(self, url: str, each: int, chance: random.Random) -> None:
        """Prepare them."""
        self._chance = chance
        self._running = ExitStack()
        self._over = threading.Event()
        self._unrest = threading.Thread(target=self._stir, name="unrest", daemon=True)
        self.clients: dict[str, list[EventSourceClient]] = {
            kind: [self._client(kind, url) for _ in range(each)] for kind in KINDS
        }

    @staticmethod
    def _client(kind: str, url: str) -> EventSourceClient:
        if kind == "as a browser":
            return EventSourceClient(url, reconnect=True, forgiving=True)
        if kind == "cut off":
            return EventSourceClient(url, reconnect=True, forgiving=True, max_retry=2)
        little = {"receive_buffer": LITTLE, "segment": SEGMENT} if kind == "slow" else {}
        return EventSourceClient(url, reconnect=True, forgiving=True, max_retry=QUICK, **little)

    @property
    def all(self) -> list[tuple[str, EventSourceClient]]:
        """Each client with its kind."""
        return [(kind, client) for kind, clients in self.clients.items() for client in clients]

    def __enter__(self) -> Self:
        """Connect all of them."""
        try:
            for _kind, client in self.all:
                self._running.enter_context(client)
            for _kind, client in self.all:
                client.wait_open(20)
        except BaseException:
            self._running.close()
            raise
        self._unrest.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        self.settle()
        self._running.close()

    def cut_off(self) -> None:
        """Break the connections off of those that are to be."""
        for client in self.clients["cut off"]:
            client.cut()

    def settle(self) -> None:
        """Have all of them read, and stay."""
        self._over.set()
        if self._unrest.ident:
            self._unrest.join(5)
        for _kind, client in self.all:
            client.resume()

    def _stir(self) -> None:
        turn = 0
        while not self._over.wait(ROUND):
            turn += 1
            for client in self.clients["reconnects"]:
                if self._chance.random() < ROUND / 1.5:
                    client.cut()
            for number, client in enumerate(self.clients["slow"]):
                (client.pause if (turn // 5 + number) % 2 else client.resume)()

    def wait_arrived(
        self, tag: str, last: Mapping[int, int], timeout: float
    ) -> list[tuple[str, EventSourceClient]]:
        """Wait until all have got everything up to `last` of the topic with this tag; return who has not, with its kind."""
        waiting, wanted = self.all, dict(last)

        def nobody_waits() -> bool:
            waiting[:] = [(kind, client) for kind, client in waiting if not arrived(client, wanted, tag)]
            return not waiting

        try:
            until(nobody_waits, timeout, "everything has arrived", 0.05)
        except AssertionError:
            return waiting
        return []

    def silence(self, since: int) -> float:
        """Return the longest time without a record, in seconds, of those that stay; `since` as `time.time_ns` gives it."""
        longest = 0
        for client in self.clients["stays"]:
            times = [since, *(event.time for event in client.records if event.time > since)]
            longest = max([longest, *(later - sooner for sooner, later in pairwise(times))])
        return longest / 1e9
