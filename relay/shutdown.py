"""Stopping on a signal: the first one asks for a clean end, which comes in time whatever hangs; the second one kills."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = 4.0
"""Seconds that a clean end may take; the promise is 5, and a busy machine takes most of one to end a process."""


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that the first SIGTERM or SIGINT sets; from then on both kill, without a traceback.

    Where the block is not left within `GRACE` seconds after that, the process exits with 0 all the same: a proxy and a
    Kafka that both hang have time-outs that add up.  Nothing is lost by it: what is not committed is published again.

    A thread does this, woken through a socket (`signal.set_wakeup_fd`), as the handler cannot: the main thread, which
    runs it, may be waiting inside of librdkafka, or may hold the event's lock, which is not reentrant.  For the main
    thread only, as signals are.  On leaving, the former handlers are restored.
    """
    stop, left = threading.Event(), threading.Event()
    former = {number: signal.getsignal(number) for number in SIGNALS}

    def kill_next_time(_number: int, _frame: Any) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    woken, waker = socket.socketpair()
    with woken, waker:
        waker.setblocking(False)
        watcher = threading.Thread(target=_watch, args=(woken, stop, left), name="relay-stop", daemon=True)
        watcher.start()
        former_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, kill_next_time)
        try:
            yield stop
        finally:
            left.set()
            for number, handler in former.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(former_waker)
            waker.shutdown(socket.SHUT_WR)
            watcher.join()


def _watch(woken: socket.socket, stop: threading.Event, left: threading.Event) -> None:
    """Ask for the end at the first signal of ours, and end the process where it does not come in time."""
    while received := woken.recv(1):  # one byte for each signal that Python handles, its number
        if received[0] in SIGNALS:
            stop.set()
            break
    if stop.is_set() and not left.wait(GRACE):
        logger.warning("Something hangs, not waiting for it any longer", extra={"action": "stop"})
        os._exit(0)
