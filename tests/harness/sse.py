"""A client of event streams that behaves as a browser's EventSource and remembers everything.

https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface
"""

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.harness.eventstream import EventStreamParser
from tests.harness.wait import until

READ = 65_536
DEFAULT_RETRY = 2.0  # seconds, until the server says otherwise
CONNECT_TIMEOUT = 30.0  # seconds; also the longest silence before the headers


class Received(NamedTuple):
    """One event: when (`time.time_ns`), and in which connection, counted from 0."""

    type: str
    data: str
    id: str
    time: int
    connection: int

    @property
    def is_notice(self) -> bool:
        """Whether the server speaks for itself, and not for Kafka."""
        return self.type.startswith("stream-")


@dataclass
class Connection:
    """One request and its answer."""

    number: int
    last_event_id: str
    began: int
    status: int = 0  # 0: nobody answered
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""  # of an answer that is no event stream
    ended: int = 0
    comments: int = 0
    bytes: int = 0


class EventSourceClient:
    """Reads one URL in a thread of its own, from `start` (or `with`) to `close`.

    With `reconnect` it comes back after a cut as a browser does, until an answer other than 200 or of another content
    type ends it for ever; where it is `forgiving`, it comes back after a 5xx, too, as nginx in front would have it
    (docs/how-to/behind-nginx.md).  `receive_buffer` (bytes) makes the system take little on behalf of a paused client;
    `segment` is how many bytes come in one at the most.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        reconnect: bool = False,
        last_event_id: str = "",
        receive_buffer: int | None = None,
        segment: int | None = None,
        max_retry: float = 60.0,
        forgiving: bool = False,
    ) -> None:
        """Prepare the client; `max_retry` cuts short what the server asks for, in seconds."""
        self.url, self.headers = url, dict(headers or {})
        self.reconnect, self.last_event_id, self.max_retry = reconnect, last_event_id, max_retry
        self.forgiving = forgiving
        self.events: list[Received] = []
        self.connections: list[Connection] = []
        self.retry = DEFAULT_RETRY
        self.failed = ""
        self._buffer, self._segment = receive_buffer, segment
        self._socket: socket.socket | None = None
        self._closing = threading.Event()
        self._reading = threading.Event()
        self._reading.set()
        self._thread = threading.Thread(target=self._run, name=f"EventSource {url}", daemon=True)

    # --- what a test does with it ---------------------------------------------------------------------------------

    def start(self) -> Self:
        """Connect, without waiting for the answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End the stream and the thread."""
        self._closing.set()
        self._reading.set()
        self.cut()
        if self._thread.ident:
            self._thread.join(CONNECT_TIMEOUT + 5)

    def cut(self) -> None:
        """Break the connection off, as a network does; a client that reconnects comes back."""
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def pause(self) -> None:
        """Stop reading; the connection stays open and fills up."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    # --- what it has seen -----------------------------------------------------------------------------------------

    @property
    def records(self) -> list[Received]:
        """The events that are Kafka's records."""
        return [event for event in self.events if not event.is_notice]

    @property
    def notices(self) -> list[Received]:
        """The events by which the server speaks for itself."""
        return [event for event in self.events if event.is_notice]

    @property
    def statuses(self) -> list[int]:
        """The status of each answer."""
        return [connection.status for connection in list(self.connections)]

    @property
    def ended(self) -> bool:
        """Whether it has given up, or its only connection is over."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def repeated(self) -> list[tuple[int, str]]:
        """Return (connection, id) for each id that records of one connection bear more than once."""
        seen = Counter((event.connection, event.id) for event in self.records)
        return [key for key, times in seen.items() if times > 1]

    def wait_for(
        self, wanted: int | Callable[[Self], object], timeout: float, what: str = ""
    ) -> list[Received]:
        """Wait for so many records, or for a condition on this client; return all records so far."""
        met = wanted if callable(wanted) else lambda client: len(client.records) >= wanted
        name = what or (f"{wanted} records" if isinstance(wanted, int) else "the client's condition")
        until(lambda: met(self), timeout, lambda: f"{name}; {self.describe()}")
        return self.records

    def wait_open(self, timeout: float = 10.0) -> Received:
        """Wait for the first event of the newest connection, which says that the stream is open; return it."""

        def first() -> Received | None:
            newest = len(self.connections) - 1
            return next((event for event in self.events if event.connection == newest), None)

        return until(first, timeout, lambda: f"the stream is open; {self.describe()}")

    def wait_connections(self, count: int, timeout: float) -> None:
        """Wait until the `count`-th connection got its answer."""
        until(
            lambda: len(self.connections) >= count and self.connections[count - 1].status,
            timeout,
            lambda: f"{count} connections; {self.describe()}",
        )

    def describe(self) -> str:
        """Say in one line how far it came, for the message of a failure."""
        last = self.events[-1] if self.events else None
        return (
            f"{self.url}: {len(self.records)} records, {len(self.notices)} notices, answers {self.statuses}, "
            f"{'gave up: ' + self.failed if self.failed else 'last ' + repr(last)}"
        )

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            connection = Connection(len(self.connections), self.last_event_id, time.time_ns())
            self.connections.append(connection)
            with suppress(OSError, http.client.HTTPException):
                self._connect(connection)
            connection.ended = time.time_ns()
            if self.failed or not self.reconnect:
                return
            self._closing.wait(min(self.retry, self.max_retry))

    def _connect(self, connection: Connection) -> None:
        parts = urlsplit(self.url)
        link = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=CONNECT_TIMEOUT)
        link._create_connection = self._open  # noqa: SLF001 - the receive buffer has to be set before connecting
        try:
            link.request(
                "GET", parts._replace(scheme="", netloc="").geturl() or "/", headers=self._request_headers()
            )
            answer = link.getresponse()
            if self._accept(connection, answer):
                self._read(connection, answer)
        finally:
            link.close()

    def _open(self, address: tuple[str, int], timeout: float, _source: object = None) -> socket.socket:
        found = socket.socket()
        try:
            if self._buffer:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            if self._segment:
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, self._segment)
            found.settimeout(timeout)
            found.connect(address)
        except OSError:
            found.close()
            raise
        self._socket = found
        return found

    def _request_headers(self) -> dict[str, str]:
        resuming = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        return {"Accept": "text/event-stream", "Cache-Control": "no-store", **self.headers, **resuming}

    def _accept(self, connection: Connection, answer: http.client.HTTPResponse) -> bool:
        """Note the answer's head; give up for ever when a browser would."""
        connection.content_type = answer.getheader("Content-Type", "")
        connection.headers = {name.lower(): value for name, value in answer.getheaders()}
        good = answer.status == http.client.OK
        if self.forgiving and answer.status >= http.client.INTERNAL_SERVER_ERROR:
            connection.status = answer.status
            return False
        if not good or connection.content_type.partition(";")[0].strip().lower() != "text/event-stream":
            self.failed = f"{answer.status} {connection.content_type}"
            connection.body = answer.read()
        connection.status = answer.status
        return not self.failed

    def _read(self, connection: Connection, answer: http.client.HTTPResponse) -> None:
        if self._socket:
            self._socket.settimeout(None)  # a stream may be silent for as long as it likes
        parser = EventStreamParser(self.last_event_id)
        while self._reading.wait() and (chunk := answer.read1(READ)):
            now = time.time_ns()
            connection.bytes += len(chunk)
            self.events.extend([Received(*event, now, connection.number) for event in parser.feed(chunk)])
            self.last_event_id, connection.comments = parser.last_event_id, parser.comments
            if parser.retry is not None:
                self.retry = parser.retry / 1000
