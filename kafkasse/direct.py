"""Streams without a proxy: who asks this application itself is sent records straight from the log.

For development, where `curl localhost:8000/events/t/` works with nothing but a broker; Pushpin is what carries many
clients.  The events are the same, and so are their ids: a client may go on at the other.  There need not be a relay: what
is read ends where the log does, not where a relay is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from kafkasse import deadline, pages, replay, resume, scope, sse
from kafkasse.conf import conf
from kafkasse.exceptions import KafkaUnavailableError, ReadersBusyError, TooManyChannelsError
from kafkasse.offsets import LATEST
from kafkasse.once import Once
from kafkasse.positions import lookup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kafkasse.positions import Known
    from kafkasse.replay import Start
    from kafkasse.stream import Stream

logger = logging.getLogger(__name__)

PAUSE = 0.1
"""How soon the end of the log is looked at again, in seconds."""
LOOK = 2.0
"""How soon it is looked again which partitions there are, and whether the topics are still the same."""


def is_wanted(request: HttpRequest) -> bool:
    """Say whether the request is to be answered without a proxy: none has forwarded it, and the setting allows it."""
    return conf.KAFKASSE_DIRECT and "HTTP_GRIP_SIG" not in request.META


def response(request: HttpRequest, stream: Stream, start: Start, known: Known) -> StreamingHttpResponse:
    """Return an answer that goes on until the stream's end, if it has one, or the client's."""
    steps = Steps(stream, start, known)
    body = _waiting_for(steps) if isinstance(request, ASGIRequest) else _blocking(steps)
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(body, content_type=sse.CONTENT_TYPE, headers=headers)


class Steps:
    """One client's stream, a step at a time.  Each asks Kafka, and ends with the time of a request."""

    def __init__(self, stream: Stream, start: Start, known: Known) -> None:
        """Begin at `start`."""
        self._stream, self._known = stream, known
        self._positions = start.positions
        self._body = replay.opening(stream, start)
        self._looked = self._sent = time.monotonic()
        self.pause = 0.0
        self.ended = False

    def step(self) -> str:
        """Return what is to be sent now, which may be nothing; `pause` is the time until the next step, in seconds."""
        try:
            with deadline.begun():
                body = self._opening() + self._resets() + self._records()
        except (KafkaUnavailableError, ReadersBusyError, TooManyChannelsError) as error:
            return self._broken_off(str(error))
        now = time.monotonic()
        if not body and now - self._sent >= (self._stream.heartbeat or conf.KAFKASSE_NEXT_TIMEOUT):
            body = sse.heartbeat(self._stream.event_id(self._positions), 0, 0, time.time())
        if body:
            self._sent = now
        return body

    def _opening(self) -> str:
        body, self._body = self._body, ""
        return body

    def _broken_off(self, why: str) -> str:
        logger.warning("%s", why, extra={"topic": self._stream.name, "action": "retry"})
        self.ended = True
        return sse.retry_with_jitter()

    def _resets(self) -> str:
        """Look which topics and partitions there are now; return what has to be told of it."""
        if time.monotonic() - self._looked < LOOK:
            return ""
        self._looked = time.monotonic()
        self._known = scope.known(self._stream)
        named: dict[str, tuple[str, dict[int, int]]] = {
            topic: (tag, {}) for topic, tag in self._stream.tags.items()
        }
        for (topic, partition), position in self._positions.items():
            named[topic][1][partition] = position
        start = resume.resumed(named, self._known)
        self._stream = resume.ended_by_now(
            self._stream.tagged(self._known.tags), self._known.positions, time.time()
        )
        self._positions = start.positions
        return replay.resets(self._stream, start)

    def _records(self) -> str:
        ends = self._stream.end
        if ends is None:
            ends = lookup().ends(self._positions, LATEST)
        page = pages.pages().page(self._stream, self._positions, resume.stops(self._positions, ends))
        self._positions = page.positions
        self.pause = PAUSE if page.complete else 0.0
        self.ended = page.complete and self._stream.end is not None
        return page.body + (replay.ending(self._stream, page.positions) if self.ended else "")


def _blocking(steps: Steps) -> Iterator[bytes]:
    """Yield a stream's parts from a thread of the server's."""
    with _place() as taken:
        if not taken:
            yield sse.retry_with_jitter().encode()
            return
        while not steps.ended:
            if body := steps.step():
                yield body.encode()
            time.sleep(steps.pause)


async def _waiting_for(steps: Steps) -> AsyncIterator[bytes]:
    """Yield a stream's parts to a server that has an event loop; only the steps take a thread."""
    with _place() as taken:
        if not taken:
            yield sse.retry_with_jitter().encode()
            return
        while not steps.ended:
            if body := await sync_to_async(steps.step, thread_sensitive=False)():
                yield body.encode()
            await asyncio.sleep(steps.pause)


@contextmanager
def _place() -> Iterator[bool]:
    """Take one of the streams that this process may have; say whether one was free."""
    taken = _places().acquire(blocking=False)
    if not taken:
        logger.warning(
            "All streams without a proxy are taken; see KAFKASSE_DIRECT_STREAMS", extra={"action": "retry"}
        )
    try:
        yield taken
    finally:
        if taken:
            _places().release()


@Once
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(conf.KAFKASSE_DIRECT_STREAMS)
