"""`/events/<topic>/` and what belongs to it.

The ways to ask for events differ in what the proxy does with the answer's body (docs/explanation/how-it-works.md):

- `events`: a client's first request.  If all that it misses fits into the first answer, that is a hold; if not, it is a
  page, or a wait for it.  The proxy filters its body if it says so itself.
- `refill`: the proxy asks on behalf of a held client, whose positions it names in `Grip-Last`.
- `follow`: the proxy comes for the next page; or, as `begin`, for each page of a client that has waited for the first.  It may not
  have subscribed the client to anything yet; so the last records are left to a `refill`, which it is asked to make at once.

It filters what it gets for these if the answer before said so, which their links tell (`answers.written`).
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from kafkasse import (
    access,
    answers,
    direct,
    documents,
    grip,
    pages,
    positions,
    replay,
    resume,
    scope,
    sse,
    turns,
)
from kafkasse.conf import conf
from kafkasse.exceptions import (
    CursorError,
    KafkaUnavailableError,
    ParameterError,
    TooManyChannelsError,
)
from kafkasse.guard import RETRYABLE, readable, why
from kafkasse.intake import intake
from kafkasse.milestones import milestones
from kafkasse.start import Now
from kafkasse.stream import GROUPS, LANES, places, with_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http.response import HttpResponseBase

    from kafkasse.pages import Written
    from kafkasse.positions import Known
    from kafkasse.replay import Start
    from kafkasse.stream import Named, Stream
    from kafkasse.topics import Key

logger = logging.getLogger(__name__)

FIRST_HOLD_BYTES = 60_000
"""The largest body of a first answer that holds: the proxy refuses one of 100,000 bytes."""
NEAR_BYTES = 5_000_000
"""Who has no more than this before it is coming back, not replaying, and waits for nobody: else it might fall behind again."""
CATCHING_UP = 4
"""How many times as fast as its topics grow a replay's turns let it go on, however much there is to give way to."""
STALE_SECONDS = 0.1
"""How long a commit may take, once its item has been published."""
LOOK_SECONDS = 0.01
"""How soon it is looked for again."""
UNREACHABLE_SECONDS = 5
"""When the proxy asks again for a held client, after Kafka could not be reached."""
AT_ONCE = 0
"""When it asks again for a client that it has just subscribed to a channel.

What the client misses is read once it cannot miss what comes meanwhile.  Also where it misses nothing yet: only with the
hold of a first answer does the proxy compare which item came last (Pushpin's httpsession.cpp, 1.36 to 1.41).
"""


@readable
def events(request: HttpRequest, topics: tuple[str, ...]) -> HttpResponseBase:
    """Open the stream of `topics`: from where the client's cursor says, or its URL; else from now on.

    Who asks for JSON gets a page of it instead.
    """
    text = request.headers.get("Last-Event-ID") or request.GET.get("last_event_id", "")
    try:
        form = documents.form(request)
        stream, start, known = scope.opened(request, topics, text)
    except TooManyChannelsError as error:
        return documents.refusal(400, {"error": str(error)})
    except ParameterError as error:
        fields = {"error": str(error), "parameter": error.parameter, "accepted": error.accepted}
        return documents.refusal(400, fields)
    if form == "sse" and direct.is_wanted(request):
        return direct.response(request, stream, start, known)
    if form == "sse":
        return _stream(request, stream, start, known, comes_back=bool(text))
    is_bounded = stream.end is not None
    bounded = stream if is_bounded else resume.bounded(stream, Now(), known.positions, time.time())
    size, most = conf.KAFKASSE_PAGE_BYTES, conf.KAFKASSE_PAGE_RECORDS
    stop = _stop(bounded, start, known)
    found = pages.read(bounded, start.positions, stop, size, max_records=most, headers=True)
    return documents.page(request, form, bounded, start, found, has_more=not is_bounded)


def _stream(
    request: HttpRequest, stream: Stream, start: Start, known: Known, *, comes_back: bool
) -> HttpResponseBase:
    """Return the first answer of a stream: the end, the hold, a page, or in a crowd the wait for it."""
    stream = stream.in_lane(random.randrange(GROUPS, LANES))  # noqa: S311 - a lane is no secret
    page, left = _page(stream, start, known)
    opening = replay.opening(stream, start)
    body = opening + page.body
    if page.complete and stream.end is not None:
        if comes_back and not (page.records or page.breaks or start.resets):
            return HttpResponse(status=204)  # tells an EventSource that came back that there is no more
        return grip.stream(body + replay.ending(stream, page.positions))
    if page.complete and len(body) <= FIRST_HOLD_BYTES:
        held = answers.held(request, stream, known)
        sent = answers.written(held, body)
        if len(sent.encode()) <= FIRST_HOLD_BYTES:
            return answers.hold(request, held, known, page.positions, sent)
    rest = left + len(page.body)
    if len(opening) <= FIRST_HOLD_BYTES:
        sealed = grip.is_far(request)
        delay = intake().delay(min(rest, NEAR_BYTES), sealed=sealed)
        if delay or sealed:
            stream = stream.sealed_if(sealed)
            return answers.opened(request, stream, start.positions, rest, opening, seconds=delay)
    return answers.next_page(stream, page.positions, left, body, sealed=False)


@readable
def refill(request: HttpRequest, topics: tuple[str, ...], terms: str = "") -> HttpResponseBase:
    """Answer the proxy, for a held client, with what the client misses up to the relay's position."""
    stream = _with_terms(topics, terms)
    named = grip.last_positions(request, topics)
    if not named:
        return events(request, topics)
    try:
        known = scope.known(stream)
        stream = resume.ended_by_now(stream.tagged(known.tags), known.positions, time.time())
        start = resume.resumed(named, known)
        is_behind = False
        if stream.end is None:
            known, is_behind = _newly_committed(stream, start, known)
        page, left = _page(stream, start, known)
        body = replay.resets(stream, start) + page.body
        if stream.end is None and not body:
            body = _heartbeat(stream, page.positions, is_behind=is_behind)
    except RETRYABLE as error:
        logger.warning("%s", why(error), extra={"topic": stream.name, "action": "hold"})
        return _hold_on(request, stream, named)
    ends = page.complete and stream.end is not None
    if ends:
        body += replay.ending(stream, page.positions)
    body = answers.written(stream, body)
    if ends:
        return grip.stream(body)
    if not page.complete:
        return answers.next_page(stream, page.positions, left, body, sealed=grip.is_far(request))
    held = answers.held(request, stream, known)
    # A topic that was created again has other channels.
    here = {topic: each for topic, each in named.items() if each[0] == known.tags[topic]}
    is_subscribed = held.whole == stream.whole and page.positions.keys() <= places(here).keys()
    timeout = None if is_subscribed else AT_ONCE
    return answers.hold(request, held, known, page.positions, body, timeout=timeout)


def _hold_on(request: HttpRequest, stream: Stream, named: Named) -> HttpResponseBase:
    """Hold the client where it is, while Kafka cannot be reached."""
    stream = stream.tagged({topic: tag for topic, (tag, _places) in named.items()})
    link, body = answers.link("refill", stream), answers.written(stream, sse.KEEP_ALIVE)
    return grip.hold(request, stream, places(named), body, next_link=link, timeout=UNREACHABLE_SECONDS)


def _heartbeat(stream: Stream, positions: Mapping[Key, int], *, is_behind: bool) -> str:
    """Return what keeps a silent client's connection alive.  The proxy's own comment is no help there: docs/adr/0011."""
    now = time.time()
    lag, age = resume.behind(positions, now) if is_behind else (0, 0)
    return sse.heartbeat(stream.event_id(positions), lag, age, now)


def _newly_committed(stream: Stream, start: Start, known: Known) -> tuple[Known, bool]:
    """Return what is known once the relay is ahead of `start`, if it gets there in time.

    Why else would the proxy ask?  Most likely an item did not fit, whose commit has not arrived yet.  Where the log has
    no more than the client, it asks because it always does after a while; nothing is waited for then, and the second
    value is False.
    """
    end = time.monotonic() + STALE_SECONDS
    waits = resume.stops(start.positions, known.positions) == start.positions
    if waits and not resume.is_behind(start):
        return known, False
    while waits and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        known = scope.known(stream)
        waits = resume.stops(start.positions, known.positions) == start.positions
    return known, True


@readable
def follow(request: HttpRequest, topics: tuple[str, ...], position: str, terms: str = "") -> HttpResponseBase:
    """Answer the proxy with what follows a page: one more page, or the hold."""
    return _page_at(request, _with_terms(topics, terms), position)


@readable
def begin(request: HttpRequest, topics: tuple[str, ...], terms: str = "") -> HttpResponseBase:
    """Answer the proxy with the first page, or the next one, of a client that has waited for it."""
    if (place := grip.waited(request)) is None:
        return events(request, topics)
    position, _, lane = place.partition("_")
    stream = _with_terms(topics, terms).in_lane(_with_terms(topics, lane).lane)
    return _page_at(request, stream, position, pauses=True)


def _page_at(
    request: HttpRequest, stream: Stream, position: str, *, pauses: bool = False
) -> HttpResponseBase:
    """Return the page at a cursor; a hold there, if a refill may bring the rest."""
    try:
        named = stream.named(position)
    except CursorError:
        raise Http404("No such page.") from None
    known = scope.known(stream)
    stream = stream.tagged(known.tags)
    start = resume.resumed(named, known)
    page, left = _page(stream, start, known)
    body = replay.resets(stream, start) + page.body
    if page.complete and stream.end is not None:
        return grip.stream(answers.written(stream, body + replay.ending(stream, page.positions)))
    if page.complete and len(page.body) <= answers.JOIN_BYTES and not (start.resets or page.breaks):
        held = answers.held(request, stream, known)
        return answers.hold(request, held, known, start.positions, "", timeout=AT_ONCE)
    longest = milestones().seconds(stream.which, page.records) / CATCHING_UP
    if left > NEAR_BYTES and not turns.turns().take(len(body), longest):
        return grip.stream(sse.retry_with_jitter())
    pauses = pauses and left <= NEAR_BYTES and longest > answers.PAUSE_SECONDS and not page.is_part
    sealed, sent = grip.is_far(request), answers.written(stream, body)
    if pauses:
        return answers.paused(request, stream, page.positions, left, sent, sealed=sealed)
    return answers.next_page(stream, page.positions, left, sent, sealed=sealed)


def _with_terms(topics: tuple[str, ...], terms: str) -> Stream:
    try:
        return with_terms(topics, terms)
    except CursorError:
        raise Http404("No such stream.") from None


def _page(stream: Stream, start: Start, known: Known) -> tuple[Written, int]:
    """Return what follows `start`, as clients may share it, and about how many bytes follow that."""
    stop = _stop(stream, start, known)
    milestones().passed(stream.which, known.positions)
    first = milestones().next(stream.which, start.positions, stop)
    speed = milestones().known_speed(stream.which)
    page = pages.pages().page(stream, start.positions, first, shared=stream.is_shared, speed=speed)
    return (page if first == stop else replace(page, complete=False)), page.left(stop)


def _stop(stream: Stream, start: Start, known: Known) -> dict[Key, int]:
    return resume.stops(start.positions, known.positions if stream.end is None else stream.end)


@readable
def record(request: HttpRequest, topics: tuple[str, ...], partition: int, offset: int) -> HttpResponseBase:
    """Return one record as JSON."""
    return documents.record(request, topics[0], partition, offset)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Say what runs here, and list the topics with their URLs."""
    try:
        names = [name for name in positions.lookup().topics() if access.may_read(request, name)]
    except KafkaUnavailableError:
        names = None
    return render(request, "kafkasse/index.html", {"topics": names})
