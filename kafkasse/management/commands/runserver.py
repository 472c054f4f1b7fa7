"""`manage.py runserver`: Django's own, with room for what a proxy in front of many clients asks of it."""

from __future__ import annotations

import http.client

from django.core.management.commands import runserver
from django.core.servers import basehttp

HEADERS = 2000
"""The proxy says how far a client is in a header for each partition; Python's server refuses more than 100 headers."""
BACKLOG = 1024
"""Clients that reconnect all at once are to wait in the system's queue, and not to be turned away: Django's has 10 places."""


class Server(basehttp.WSGIServer):
    """Django's development server with a longer queue."""

    request_queue_size = BACKLOG


class Handler(basehttp.ServerHandler):
    """Django's handler, for one request per connection, which sends an answer in one piece.

    A connection that the proxy keeps open would keep a thread; and to close it when it is idle may cost a request.  An answer
    that is cut off behind its headers, Pushpin takes for a whole one: so what this process is killed for is either all in the
    system's hands, or nothing of it (docs/explanation/guarantees.md, known limits).
    """

    _unsent = b""

    def _write(self, data: bytes) -> None:
        self._unsent += data

    def _flush(self) -> None:
        piece, self._unsent = self._unsent, b""
        self.stdout.write(piece)

    def close(self) -> None:
        """Send the headers of an answer without a body, too."""
        self._flush()
        super().close()

    def cleanup_headers(self) -> None:
        """Say that the connection ends; an application may not, as the header is the server's."""
        super().cleanup_headers()
        self.headers["Connection"] = "close"  # type: ignore[attr-defined]  # unknown to Django's stubs
        self.request_handler.close_connection = True  # type: ignore[attr-defined]


class Command(runserver.Command):
    """Django's `runserver`, for a topic with many partitions and for herds of clients."""

    server_cls = Server

    def inner_run(self, *args: object, **options: object) -> None:
        """Serve; neither the limit of http.client nor the handler can be set in another way."""
        http.client._MAXHEADERS = HEADERS  # type: ignore[attr-defined]  # noqa: SLF001
        basehttp.ServerHandler = Handler  # type: ignore[misc]
        super().inner_run(*args, **options)
