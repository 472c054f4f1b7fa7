"""A TCP link between two processes that a test can break: `Link(port)` listens on `link.port` and passes bytes on."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Self

from tests.harness.ports import free_port

READ = 65_536


class Link:
    """Passes every connection on to `target` on 127.0.0.1; for use in a `with` statement.

    Another `target` counts for connections that come from then on.  `delay` is how many seconds later what passes arrives.
    """

    def __init__(self, target: int, port: int | None = None) -> None:
        """Choose the port, unless one is given; nothing listens yet."""
        self.target, self.port = target, port or free_port()
        self.cuts = 0
        self.delay = 0.0
        self._passing = threading.Event()
        self._passing.set()
        self._limits: Iterator[int] = iter(())
        self._limit: int | None = None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name=f"link to {target}", daemon=True)

    def cut_answers(self, limits: Iterable[int]) -> None:
        """End the next answer that is longer than so many bytes there, as the end of a process does: once for each limit."""
        with self._lock:
            self._limits = iter(limits)
            self._limit = next(self._limits, None)

    def swallow(self) -> None:
        """Let nothing pass, and keep connections open, as a network does that has lost its way."""
        self._passing.clear()

    def restore(self) -> None:
        """Let everything pass again, what was held back included."""
        self._passing.set()

    def cut(self) -> None:
        """End every connection there is."""
        self._end(*self._open)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections and listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.restore()
        self.cut()
        self._thread.join(5)

    @staticmethod
    def _end(*connections: socket.socket) -> None:
        """End connections: closing alone does nothing while another thread reads."""
        for each in connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as far:
            self._open |= {near, far}
            try:
                requests = threading.Thread(target=self._pass_requests, args=(near, far), daemon=True)
                requests.start()
                self._pass_answer(far, near)
            finally:
                self._open -= {near, far}
                self._end(near, far)

    def _pass_requests(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(READ):
                self._travel()
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _pass_answer(self, far: socket.socket, near: socket.socket) -> None:
        passed = 0
        while data := far.recv(READ):
            self._travel()
            room = self._room(passed + len(data))
            near.sendall(data[: room - passed] if room is not None else data)
            if room is not None:
                return
            passed += len(data)

    def _travel(self) -> None:
        self._passing.wait()
        if self.delay:
            time.sleep(self.delay)

    def _room(self, length: int) -> int | None:
        """Return where this answer is to be cut, None when it is not."""
        with self._lock:
            limit = self._limit
            if limit is None or length <= limit:
                return None
            self._limit = next(self._limits, None)
            self.cuts += 1
            return limit
