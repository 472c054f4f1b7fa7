"""The client behaves as a browser's EventSource does, and remembers what happened."""

import socket
import threading
from contextlib import suppress
from typing import Self

import pytest

from tests.harness.sse import EventSourceClient
from tests.harness.wait import until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class Script:
    """A server that gives each connection the next of its answers and then closes it, or keeps it open."""

    def __init__(self, *answers: bytes, keep_last: bool = False) -> None:
        self.answers, self.keep_last = list(answers), keep_last
        self.requests: list[bytes] = []
        self._kept: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/events/t/?a=b"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for place, answer in enumerate(self.answers):
            with suppress(OSError):
                link, _ = self._listener.accept()
                self.requests.append(link.recv(65_536))
                link.sendall(answer)
                if self.keep_last and place == len(self.answers) - 1:
                    self._kept.append(link)
                else:
                    link.close()

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for link in self._kept:
            link.close()


def test_client_reads_events_with_their_times_and_connection():
    """Type, id and data as sent; notices are told from records."""
    body = b"event: stream-open\nid: 0\ndata: {}\n\nid: 1\ndata: x\n\n"
    with Script(HEAD + body, keep_last=True) as server, EventSourceClient(server.url) as client:
        (record,) = client.wait_for(1, 5)
        assert (record.type, record.id, record.data, record.connection) == ("message", "1", "x", 0)
        assert [notice.type for notice in client.notices] == ["stream-open"]
        assert client.wait_open().id == "0"
        assert server.requests[0].startswith(b"GET /events/t/?a=b HTTP/1.1\r\n")
        assert client.connections[0].headers["content-type"] == "text/event-stream"


def test_client_after_a_cut_resumes_with_the_last_id_after_the_retry_time():
    """What a browser does: the id of the last whole block, no sooner than the server asked for."""
    answers = [HEAD + b"retry: 50\nid: 7\ndata: x\n\nid: 8\ndata: y\n", HEAD + b"id: 8\ndata: y\n\n"]
    with (
        Script(*answers, keep_last=True) as server,
        EventSourceClient(server.url, reconnect=True) as client,
    ):
        client.wait_for(2, 5)
        assert b"Last-Event-ID" not in server.requests[0]
        assert b"\r\nLast-Event-ID: 7\r\n" in server.requests[1]
        assert [record.connection for record in client.records] == [0, 1]
        first, second = client.connections
        assert second.began - first.ended > 45_000_000
        assert second.last_event_id == "7"


def test_client_without_reconnect_ends_with_the_connection():
    """One connection, one answer."""
    with Script(HEAD + b"data: x\n\n") as server, EventSourceClient(server.url) as client:
        client.wait_for(lambda c: c.ended, 5, "the end")
        assert len(client.records) == len(client.connections) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\nno", "503"),
        (b"HTTP/1.1 204 No\r\nContent-Type: text/event-stream\r\n\r\n", "204"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno", "200 text/html"),
    ],
)
def test_client_gives_up_for_ever_on_what_is_no_event_stream(answer, reason):
    """As a browser, even one that would reconnect after a cut."""
    with Script(answer, HEAD) as server, EventSourceClient(server.url, reconnect=True) as client:
        client.wait_for(lambda c: c.ended, 5, "the end")
        assert client.failed.startswith(reason)
        assert client.statuses == [int(reason.partition(" ")[0])]


def test_client_nobody_answers_tries_again():
    """A refused connection is a cut, not an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with EventSourceClient(f"http://127.0.0.1:{port}/", reconnect=True, max_retry=0.02) as client:
        client.wait_for(lambda c: len(c.connections) >= 3, 5)
        assert client.statuses[:2] == [0, 0]
        assert not client.failed


def test_client_counts_repeats_within_one_connection_only():
    """An id that comes again after a reconnection is no repeat."""
    twice = b"id: 1\ndata: x\n\n" * 2
    with (
        Script(
            HEAD + b"retry: 1\nid: 1\ndata: x\n\n", HEAD + b"retry: 1\n" + twice, keep_last=True
        ) as server,
        EventSourceClient(server.url, reconnect=True) as client,
    ):
        client.wait_for(3, 5)
        assert client.repeated() == [(1, "1")]


def test_client_cut_and_resumed_by_the_test_reconnects():
    """`cut` breaks the connection off from this side."""
    answers = [HEAD + b"retry: 1\nid: 1\ndata: x\n\n", HEAD + b"id: 2\ndata: y\n\n"]

    class Keeping(Script):
        def _run(self) -> None:
            for answer in self.answers:
                link, _ = self._listener.accept()
                self.requests.append(link.recv(65_536))
                link.sendall(answer)
                self._kept.append(link)

    with Keeping(*answers) as server, EventSourceClient(server.url, reconnect=True) as client:
        client.wait_for(1, 5)
        client.cut()
        client.wait_for(2, 5)
        assert client.statuses == [200, 200]


def test_client_paused_reads_nothing_until_resumed():
    """A slow client's system takes what fits, the client takes nothing."""
    many = b"".join(b"id: %d\ndata: %s\n\n" % (n, b"x" * 1000) for n in range(2000))
    with Script(HEAD + many, keep_last=True) as server:
        client = EventSourceClient(server.url, receive_buffer=4096)
        client.pause()
        with client:
            client.wait_connections(1, 5)
            assert not client.events
            client.resume()
            client.wait_for(2000, 10)


@pytest.mark.parametrize("forgiving", [False, True])
def test_5xx_is_the_end_unless_the_client_forgives_it(forgiving):
    """A browser gives up; nginx in front would have made a `retry:` of it."""
    refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    with (
        Script(refusal, HEAD + b"data: x\n\n", keep_last=True) as script,
        EventSourceClient(script.url, reconnect=True, max_retry=0.01, forgiving=forgiving) as client,
    ):
        if forgiving:
            client.wait_for(1, 5)
        else:
            until(lambda: client.ended, 5, "it has given up")
        assert client.statuses == ([502, 200] if forgiving else [502])
