"""What the proxy does after an answer: hold the client, or come for what follows, and by which link.

Whoever has the same link, with the same positions, shares one answer to it.  A link says whether the proxy has been told to
filter that: then it is sealed (docs/adr/0029-sealed-answers.md).
"""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING

from django.urls import reverse

from kafkasse import grip, sse
from kafkasse.conf import conf
from kafkasse.stream import GROUPS, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from kafkasse.positions import Known
    from kafkasse.topics import Key

JOIN_BYTES = 200_000
"""How much may be left to a refill, whose every byte the proxy looks at; what is more goes as another page before it."""
MISSING_SECONDS = 8
"""When it asks again at the latest for a client of a topic that did not exist: should the relay's hint come too soon."""
GROUPS_PER_SECOND = 6
"""In how many lanes those are who have waited and are due in the same second: some twenty at a time then share a page."""
WAITING_LINKS = 4
"""By how many links the proxy comes for those who wait.

It comes for ten links in a second, each for up to a hundred clients, and keeps back what all others that it is to ask for are
sent meanwhile (`updateLimiter` in Pushpin's engine.cpp).  By one link, a hundred would ask for their pages at once.
"""
PAUSE_SECONDS = 1
"""How long the proxy waits between the pages of those who have waited, at the most: it has one timer for all by a link.

By then a page is taken, mostly, but for the slow.
"""


def written(stream: Stream, body: str) -> str:
    """Return a body as the proxy expects it of this stream."""
    return sse.sealed(body) if stream.sealed else body


def next_page(
    stream: Stream, positions: Mapping[Key, int], left: int, body: str, *, sealed: bool
) -> HttpResponseBase:
    """Return a page and the link to what follows it, which is to be `sealed` or not."""
    return grip.page(body, next_link=next_link(stream, positions, left, sealed=sealed), sealed=sealed)


def opened(
    request: HttpRequest, stream: Stream, positions: Mapping[Key, int], left: int, body: str, *, seconds: int
) -> HttpResponseBase:
    """Return a first answer with the opening alone; the proxy is to come for the first page in so many seconds.

    Where it waits, the link has one of a few lanes; where it is, and in which lane it will be, the proxy says when it comes.
    """
    body = written(stream, body)
    if not seconds:
        return next_page(stream, positions, left, body, sealed=stream.sealed)
    due = int(time.time()) + seconds
    lane = (due * GROUPS_PER_SECOND + random.randrange(GROUPS_PER_SECOND)) % GROUPS  # noqa: S311 - a lane is no secret
    return _wait(request, stream.in_lane(lane), positions, left, body, seconds=seconds)


def paused(
    request: HttpRequest, stream: Stream, positions: Mapping[Key, int], left: int, body: str, *, sealed: bool
) -> HttpResponseBase:
    """Return a page for those who have waited; the proxy is to come for the next one a moment later.

    In a crowd, requests fail.  Those for clients that still take bytes would be made twice (docs/adr/0011-keep-alive-by-refills.md).
    """
    return _wait(request, stream.sealed_if(sealed), positions, left, body, seconds=PAUSE_SECONDS)


def _wait(
    request: HttpRequest, stream: Stream, positions: Mapping[Key, int], left: int, body: str, *, seconds: int
) -> HttpResponseBase:
    """Return a body, and a hold on nothing; by a link of a few, but a place that only those of a lane have."""
    place = stream.event_id(positions)
    if left > JOIN_BYTES:
        place += f"_{Stream(stream.topics, lane=stream.lane).terms()}"
    shared = link("begin", stream.in_lane((stream.lane or 0) % WAITING_LINKS))
    return grip.wait(request, body, place, next_link=shared, seconds=seconds, sealed=stream.sealed)


def next_link(stream: Stream, positions: Mapping[Key, int], left: int, *, sealed: bool) -> str:
    """Return the link to what follows: another page in the client's lane, or the hold, the same for all."""
    stream = stream.held_by(()).sealed_if(sealed)
    if left <= JOIN_BYTES:
        stream = stream.in_lane(None)
    return link("follow", stream, stream.event_id(positions))


def held(request: HttpRequest, stream: Stream, known: Known) -> Stream:
    """Return the stream of those who are held now: by the channels that are published, in no lane.

    Where these are of partitions, the proxy filters for the sake of their items, whoever is far or near.
    """
    stream = stream.in_lane(None).held_by(known.whole)
    return stream.sealed_if(not stream.whole or grip.is_far(request))


def hold(
    request: HttpRequest,
    stream: Stream,
    known: Known,
    positions: Mapping[Key, int],
    body: str,
    *,
    timeout: int | None = None,
) -> HttpResponseBase:
    """Hold the client by a stream of `held`; all that want the same share a link, and who is at the same place an answer."""
    if timeout is None:
        timeout = stream.heartbeat or conf.KAFKASSE_NEXT_TIMEOUT
        if known.missing:
            timeout = min(timeout, MISSING_SECONDS)
        if stream.until is not None:
            timeout = min(timeout, max(1, math.ceil(stream.until / 1000 - time.time())))
    return grip.hold(request, stream, positions, body, next_link=link("refill", stream), timeout=timeout)


def link(name: str, stream: Stream, *places: str) -> str:
    """Return the link of a URL's `name`, with all that decides its answer in its path."""
    terms = [stream.terms()] if stream.terms() else []
    return reverse(f"kafkasse:{name}", args=[stream.topics, *places, *terms])
