"""Which channels somebody listens to, as the proxies tell.

Pushpin's handler has a ZeroMQ SUB socket on the port after the one for publishing.  There it subscribes to a channel with
its first hold, and unsubscribes a minute after the last one has gone (`subscription_linger`); an XPUB socket that connects
is told all of it, and again after each reconnect.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from relay.audience import Everybody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relay.audience import Subscriptions

logger = logging.getLogger(__name__)

SETTLING = 1.0
"""How many seconds a proxy has to tell its subscriptions after it has been connected to."""
HEARTBEAT = 5_000
"""A connection on which nothing has come for twice as many milliseconds is dead: a proxy's host may vanish silently."""
RECONNECT = 100
"""How soon a connection is tried again, in milliseconds, doubling up to `LONGEST_RECONNECT`."""
LONGEST_RECONNECT = 2_000


@contextmanager
def subscriptions(proxies: Sequence[Mapping[str, Any]]) -> Iterator[Subscriptions]:
    """Yield what the proxies tell; `Everybody` unless each of them is one that may tell something."""
    addresses = [_address(proxy["control_uri"]) for proxy in proxies]
    if not all(addresses):
        yield Everybody()
        return
    found = ProxySubscriptions(addresses)
    try:
        yield found
    finally:
        found.close()


def _address(control_uri: str) -> str:
    """Return where a proxy tells its subscriptions; nothing for a service (Fastly Fanout, say), which has no such port."""
    parts = urlsplit(control_uri)
    if parts.scheme != "http" or not parts.port:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"tcp://{host}:{parts.port + 1}"


class ProxySubscriptions:
    """The channels that any of the proxies subscribes to.  For one thread; nothing here blocks.

    Before all of them are connected, it is not known who else may listen: then everything counts as listened to.
    """

    tells = True

    def __init__(self, addresses: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._proxies, self._clock = len({*addresses}), clock
        self._channels: set[str] = set()
        self._connected: set[bytes] = set()
        self._settled_at = float("inf")
        self.known = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        # With it, ZeroMQ takes a name's IPv6 address and tries no other: a `localhost` that listens on 127.0.0.1 is missed.
        self._socket.setsockopt(zmq.IPV6, any("[" in address for address in addresses))
        # Else the subscriptions of a proxy that has gone would count on, and those of the next one be no news.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        # Where more than these waited, ZeroMQ would drop some of them.
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2 * HEARTBEAT)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, LONGEST_RECONNECT)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        for address in {*addresses}:
            self._socket.connect(address)

    def news(self) -> set[str]:
        """Return the channels that have got a first subscriber since the last call."""
        while self._monitor.poll(0):
            told = recv_monitor_message(self._monitor)
            self._take(told["event"], told["endpoint"])
        found: set[str] = set()
        while self._socket.poll(0):
            message = self._socket.recv()
            channel = message[1:].decode(errors="replace")
            if message[:1] == b"\x01":
                found.add(channel)
                self._channels.add(channel)
            else:
                self._channels.discard(channel)
        self._settle()
        return found & self._channels

    def has(self, channel: str) -> bool:
        """Say whether somebody may listen to a channel."""
        return not self.known or channel in self._channels

    def close(self) -> None:
        """Close the connections."""
        self._socket.disable_monitor()
        self._context.destroy(linger=0)

    def _take(self, event: int, proxy: bytes) -> None:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._connected.add(proxy)
        else:  # or it was no ZeroMQ socket that had been connected to
            self._connected.discard(proxy)
        everywhere = len(self._connected) == self._proxies
        self._settled_at = self._clock() + SETTLING if everywhere else float("inf")

    def _settle(self) -> None:
        complete = self._clock() >= self._settled_at
        if complete != self.known:
            self.known = complete
            what = "listened to" if complete else "there is: it is not known any more what is listened to"
            logger.info("Publishing what is %s", what, extra={"action": "subscriptions"})
