"""Stand-ins for what the relay talks to: a source, a publisher, a clock, and a proxy that speaks real HTTP.

They keep what they were told in the order in which it happened, so that a test can say what came before what.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from kafkasse import cursor, topics
from tests.harness.eventstream import Event, EventStreamParser
from tests.harness.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from relay.chunks import Item, Run

BASE_36 = 36
Place = int | tuple[int, ...]
"""Where a chain is: a partition's position, or those in all partitions of a topic."""


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        """Start at `now`, in seconds."""
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class PatientEvent(threading.Event):
    """A stop that is asked to wait, notes for how long, and does not; it sets itself after `limit` waits, if given."""

    def __init__(self) -> None:
        """Begin unset."""
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note the time-out and return at once."""
        self.waits.append(timeout or 0.0)
        return self.is_set()


def tag_of(topic: str) -> str:
    """Return a topic's tag, where the cluster gives topics no ids."""
    return cursor.tag(topic)


def channel_of(topic: str = "orders", partition: int | None = 0) -> str:
    """Return the name of a partition's channel, or with None of a topic's, where the cluster gives topics no ids."""
    return topics.channel(topic, tag_of(topic), partition)


class ListSource:
    """A source with a list of rounds; when it is asked for more it sets `stop`.

    `journal` gets ("start",), ("read",), ("wait", seconds), ("commit", {(topic, partition): position}, waited) and
    ("close",).  `start_errors` are raised by the first calls of `start`, one each.
    """

    def __init__(
        self,
        rounds: Iterable[list[Run]],
        stop: threading.Event,
        journal: list[Any] | None = None,
        *,
        start_errors: Iterable[Exception] = (),
        appeared: Iterable[set[str]] = (),
        grown: Iterable[list[Item]] = (),
        whole: Iterable[str] = (),
    ) -> None:
        """Nothing is read yet."""
        self._rounds, self._stop = list(rounds), stop
        self._start_errors, self._appeared, self._grown = list(start_errors), list(appeared), list(grown)
        self.journal: list[Any] = [] if journal is None else journal
        self.topics = {*whole}
        self.live: set[str] = set()
        self.resting: set[tuple[str, int]] = set()
        self.behind = 0
        self.read_to: dict[tuple[str, int], int] = {}

    def start(self) -> None:
        """Begin, or raise the next of `start_errors`."""
        self.journal.append(("start",))
        if self._start_errors:
            raise self._start_errors.pop(0)

    def read(self, timeout: float) -> list[Run]:
        """Return the next round."""
        assert 0 < timeout <= 1, "a stop is noticed only between two reads"
        self.journal.append(("read",))
        if self._rounds:
            runs = self._rounds.pop(0)
            self.read_to |= {
                (run.topic, run.partition): run.records[-1][0] + 1 for run in runs if run.records
            }
            return runs
        self._stop.set()
        return []

    def wait(self, seconds: float) -> None:
        """Note the time and return at once."""
        self.journal.append(("wait", seconds))

    def positions(self) -> dict[tuple[str, int], int]:
        """Return where the rounds that have been read end."""
        return self.read_to

    def whole(self) -> set[str]:
        """Return the topics that a test has given as `whole`."""
        return self.topics

    def vector(self, topic: str) -> list[int]:
        """Return where the partitions of a topic are that have been read."""
        return [place for (name, _partition), place in sorted(self.read_to.items()) if name == topic]

    def tag(self, topic: str) -> str:
        """Return the tag that `tag_of` gives every topic."""
        return tag_of(topic)

    def appeared(self) -> set[str]:
        """Return the next of the sets given."""
        return self._appeared.pop(0) if self._appeared else set()

    def commit(self, items: Iterable[Item], *, wait: bool = False) -> None:
        """Note the positions."""
        positions = {key: position for item in items for key, position in item.positions.items()}
        self.journal.append(("commit", positions, wait))

    def rest(self, keys: set[tuple[str, int]]) -> None:
        """Note the partitions that have not rested so far, if there are any."""
        if new := keys - self.resting:
            self.resting |= new
            self.journal.append(("rest", new))

    def wake(self, keys: set[tuple[str, int]]) -> None:
        """Note the partitions that rested, if there are any."""
        if woken := keys & self.resting:
            self.resting -= woken
            self.journal.append(("wake", woken))

    def follow(self) -> list[Item]:
        """Return the next of the lists given."""
        return self._grown.pop(0) if self._grown else []

    def is_live(self, topic: str) -> bool:
        """Say so of the topics that a test has listed."""
        return topic in self.live

    def lag(self) -> int:
        """Return what the test has set."""
        return self.behind

    def close(self) -> None:
        """Note it."""
        self.journal.append(("close",))


class RecordingPublisher:
    """A publisher that fails as often as `outcomes` says: None is success, an exception is raised.

    `journal` gets ("publish", [items], accepted).  `during` is called inside each publish.
    """

    def __init__(
        self,
        journal: list[Any] | None = None,
        outcomes: Iterable[Exception | None] = (),
        during: Callable[[], object] = lambda: None,
    ) -> None:
        """After the `outcomes` everything is accepted."""
        self._outcomes, self._during = list(outcomes), during
        self.journal: list[Any] = [] if journal is None else journal

    def prepare(self) -> None:
        """Do nothing."""

    def publish(self, body: str) -> None:
        """Note the items, then succeed or fail."""
        self._during()
        outcome = self._outcomes.pop(0) if self._outcomes else None
        self.journal.append(("publish", json.loads(body)["items"], outcome is None))
        if outcome is not None:
            raise outcome


class ListedSubscriptions:
    """Subscriptions to the channels that a test has listed; with `known` unset nobody can tell."""

    tells = True

    def __init__(self, channels: Iterable[str] = ()) -> None:
        """Everything listed is old."""
        self.channels, self.known = set(channels), True
        self._news: set[str] = set()

    def add(self, channel: str) -> None:
        """Have a channel's first subscriber arrive."""
        self.channels.add(channel)
        self._news.add(channel)

    def news(self) -> set[str]:
        """Return what has been added since the last call."""
        found, self._news = self._news, set()
        return found

    def has(self, channel: str) -> bool:
        """Say whether it is listed."""
        return not self.known or channel in self.channels


@dataclass
class Request:
    """One request to the stub proxy, as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def items(self) -> list[dict[str, Any]]:
        """The GRIP items in it."""
        found: list[dict[str, Any]] = json.loads(self.body)["items"]
        return found


class StubProxy:
    """A GRIP proxy's publish server on a free port, which can also misbehave; GET is answered as an application may.

    `behaviour` is a status to answer with, "hang" (no answer until `close`) or "reset" (the connection is cut).  Only
    what was answered with 200 stands in `accepted`; `stop` and `start` keep the port.  With a `certificate`, a file with
    the key as well, it speaks TLS.
    """

    def __init__(self, behaviour: int | str = 200, certificate: Path | None = None) -> None:
        """Nothing listens yet."""
        self.port, self.behaviour, self._certificate = free_port(), behaviour, certificate
        self.requests: list[Request] = []
        self.accepted: list[Request] = []
        self._released = threading.Event()
        self._sockets: list[socket.socket] = []
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The control URI."""
        return f"https://localhost:{self.port}" if self._certificate else f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen."""
        self._server = _Server(("127.0.0.1", self.port), self._handler(), self._sockets)
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="stub proxy")
        self._thread.start()
        return self

    @property
    def connections(self) -> int:
        """How many connections have been accepted."""
        return len(self._sockets)

    def stop(self) -> None:
        """Refuse connections from now on, and end those that there are."""
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None
        for accepted in self._sockets:
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop, and let go of the clients that hang."""
        self._released.set()
        self.stop()

    def __enter__(self) -> Self:
        """Listen."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def chains(self) -> Chains:
        """Return what the accepted items amount to."""
        return Chains().add(item for request in list(self.accepted) for item in request.items)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.path, dict(self.headers.items()), body)
                proxy.requests.append(request)
                proxy.answer(self, request)

            do_GET = do_POST  # noqa: N815 - as BaseHTTPRequestHandler calls it

            def log_message(self, *_: object) -> None:
                """Keep silent."""

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        """Answer one request as `behaviour` says."""
        if self.behaviour == "hang":
            self._released.wait(60)
        elif self.behaviour == "reset":
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
        else:
            if self.behaviour == 200:
                self.accepted.append(request)
            handler.send_response(int(self.behaviour))
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.wfile.write(b"Published\n" if self.behaviour == 200 else b"No: too bad\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], accepted: list[socket.socket]
    ) -> None:
        """Note what is accepted."""
        self._accepted = accepted
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Return the next connection."""
        connection, address = super().get_request()
        self._accepted.append(connection)
        return connection, address

    def handle_error(self, *_: object) -> None:
        """Keep silent: clients that give up are what some tests are about."""


@dataclass
class Chains:
    """What a sequence of items amounts to for clients that were there from the first one on.

    Written from the GRIP protocol's words alone: an item is delivered when its prev-id is the id of the one before.
    Channels are called `<topic>:<partition>` here, and `<topic>:all` that of a whole topic: which topic of its name it is
    stands in `tags`.  Where such a channel is, is a tuple of the positions in all partitions; its events are asked for all
    together, or by `partition`.
    """

    tags: dict[str, set[str]] = field(default_factory=dict)  # by channel
    events: dict[str, list[Event]] = field(default_factory=dict)
    first: dict[str, Place] = field(default_factory=dict)  # where a channel's chain began
    last: dict[str, Place] = field(default_factory=dict)  # where it ends
    broken: list[tuple[str, Place, Place]] = field(default_factory=list)  # (channel, expected, found)
    actions: list[tuple[str, str]] = field(default_factory=list)  # (channel, action), outside the chain
    postponed: list[str] = field(default_factory=list)  # control channels, at each item without content
    asked: list[str] = field(default_factory=list)  # channels, at each item that follows nobody's place
    repeated: int = 0

    def add(self, items: Iterable[dict[str, Any]]) -> Self:
        """Take items in the order in which they were accepted."""
        for item in items:
            stream = item["formats"].get("http-stream", {"action": "forget"})
            topic, *tag, partition = item["channel"].split(":")
            channel = f"{topic}:{partition}"
            self.tags.setdefault(channel, set()).update(tag)
            if "action" in stream:
                assert not {"id", "prev-id"} & item.keys()
                self.actions.append((channel, stream["action"]))
            elif stream == {"content": ""}:
                assert not {"id", "prev-id"} & item.keys()
                self.postponed.append(channel)
            else:
                self._take(channel, item, stream)
        return self

    def _take(self, channel: str, item: Mapping[str, str], stream: Mapping[str, Any]) -> None:
        is_whole = channel.endswith(":all")
        if item["prev-id"] == "~":
            self.asked.append(channel)
            return
        before, after = (_place(item[name], is_whole=is_whole) for name in ("prev-id", "id"))
        expected = self.last.get(channel, before)
        if before == after == expected:  # a reminder
            return
        if channel in self.last and _has_come_to(expected, after):
            self.repeated += 1
            return
        if before != expected:
            self.broken.append((channel, expected, before))
        self.first.setdefault(channel, before)
        self.last[channel] = after
        text = stream["content"]
        if not is_whole:  # what the filter does for each client
            assert stream["content-filters"] == ["build-id"]
            text = text.replace("%I", "VECTOR").replace("%%", "%")
        assert is_whole == ("content-filters" not in stream)
        self.events.setdefault(channel, []).extend(EventStreamParser().feed(text.encode()))

    def values(self, channel: str, partition: int | None = None) -> list[str]:
        """Return the data of a channel's events, or of those of one partition."""
        return [
            event.data
            for event in self.events.get(channel, [])
            if partition is None or _own(event)[0] == partition
        ]

    def offsets(self, channel: str, partition: int | None = None) -> list[int]:
        """Return the offsets of a channel's records, or of those of one partition, from their ids."""
        found = [_own(event) for event in self.events.get(channel, [])]
        return [position - 1 for each, position in found if partition in {None, each}]


def _place(text: str, *, is_whole: bool) -> Place:
    """Return where an item's id leads a channel."""
    return tuple(int(each, BASE_36) for each in text.split(".")) if is_whole else int(text, BASE_36)


def _has_come_to(place: Place, other: Place) -> bool:
    """Say whether a channel that is at one place has had all up to another: in each partition, where it has several."""
    if isinstance(place, int) or isinstance(other, int):
        return other <= place  # type: ignore[operator]  # both are
    return all(there <= here for here, there in zip(place, other, strict=False))


def _own(event: Event) -> tuple[int, int]:
    """Return an event's partition, and the position after it."""
    partition, position = event.id.split(".")[1].split("-")
    return int(partition, BASE_36), int(position, BASE_36)


@contextlib.contextmanager
def down(proxy: StubProxy) -> Iterator[None]:
    """Let the proxy refuse connections inside the block."""
    proxy.stop()
    try:
        yield
    finally:
        proxy.start()


def quickest_of(action: Callable[[], object], enough: float, tries: int = 3) -> float:
    """Return how long `action` took at its best; more than one try only where it is not quick enough.

    For what is promised to take so long on a machine that does nothing else.
    """
    best = float("inf")
    while tries and best > enough:
        best, tries = min(best, seconds_of(action)), tries - 1
    return best


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long `action` took."""
    began = time.monotonic()
    action()
    return time.monotonic() - began
