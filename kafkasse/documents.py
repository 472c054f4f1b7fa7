"""Records as JSON, for people and scripts: one by its place, or a bounded page of them.

A request that wants a stream never comes here; so what cannot be answered now is a 503, which a script can tell from an
empty page, where a stream would pause.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from kafkasse import cursor, history, positions, replay, sse
from kafkasse.exceptions import ParameterError
from kafkasse.offsets import EARLIEST, LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kafkasse.history import Page, Record
    from kafkasse.replay import Start
    from kafkasse.stream import Stream

FORMS = {"sse": sse.CONTENT_TYPE, "json": "application/json", "ndjson": "application/x-ndjson"}
"""The values of `?format=`, and the media types by which a request may ask for the same."""
YEAR = 31_536_000
"""In seconds: a record never changes while its topic exists."""


def form(request: HttpRequest) -> str:
    """Return which of `FORMS` is wanted, by `?format=`, else by `Accept`; a stream when neither says.

    Raises `ParameterError` for a format that there is not.
    """
    if named := request.GET.get("format"):
        if named not in FORMS:
            raise ParameterError(
                "format cannot be read; use one of the accepted forms", "format", tuple(FORMS)
            )
        return named
    wanted = request.get_preferred_type(list(FORMS.values()))
    return next((name for name, media in FORMS.items() if media == wanted), "sse")


def is_wanted(request: HttpRequest) -> bool:
    """Say whether the answer will be JSON, whatever comes of it."""
    match = request.resolver_match
    try:
        return (match is not None and match.url_name == "record") or form(request) != "sse"
    except ParameterError:
        return True


def refusal(status: int, fields: Mapping[str, Any]) -> HttpResponse:
    """Return one line of JSON that says why there is nothing else."""
    return HttpResponse(json.dumps(fields) + "\n", status=status, content_type=FORMS["json"])


def unavailable(why: str) -> HttpResponse:
    """Return that a later request may be answered."""
    response = refusal(503, {"error": why})
    response["Retry-After"] = sse.jitter() // 1000
    return response


# --- one record -------------------------------------------------------------------------------------------------------


def record(request: HttpRequest, topic: str, partition: int, offset: int) -> HttpResponse:
    """Return one record; 404 says whether it is gone, or never was."""
    known = positions.lookup().committed((topic,))
    key, place = (topic, partition), f"{topic}/{partition}/{offset}"
    if topic in known.missing or key not in known.positions:
        return refusal(404, {"error": f"{place} never was: no such partition", "reason": "never"})
    begin, end = (positions.lookup().ends([key], which)[key] for which in (EARLIEST, LATEST))
    if offset < begin:
        return refusal(404, {"error": f"{place} is gone: the log begins at {begin}", "reason": "gone"})
    if offset >= end:
        return refusal(404, {"error": f"{place} never was: the log ends at {end}", "reason": "never"})
    found = history.page({key: offset}, {key: offset + 1}, 1, headers=True).records
    if not found:
        message = f"{place} holds no record: it was compacted away, or belongs to a transaction"
        return refusal(404, {"error": message, "reason": "gone"})
    return _cached(request, found[0], known.tags[topic])


def _cached(request: HttpRequest, found: Record, topic_tag: str) -> HttpResponse:
    """Return a record for good: a cache need not ask again, and who does is told that nothing has changed."""
    # The topic's tag tells records apart that have the same place because their topic was created again; the time does
    # on a broker that gives topics no ids.
    tag = f'"{cursor.head(topic_tag, found.partition)}{found.offset:x}.{found.time:x}"'
    unchanged = tag in request.headers.get("If-None-Match", "")
    if unchanged:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(_line(fields(found)), content_type=FORMS["json"])
    response["ETag"] = tag
    response["Cache-Control"] = f"max-age={YEAR}, immutable"
    return response


def fields(found: Record) -> dict[str, Any]:
    """Return what JSON says of a record; bytes that are not UTF-8 stand in base64 under `<name>_base64`."""
    return {
        "topic": found.topic,
        "partition": found.partition,
        "offset": found.offset,
        "timestamp": found.time,
        **sse.readable("key", found.key),
        "headers": sse.readable_headers(found.headers),
        **sse.readable("value", found.value),
    }


def _line(found: Mapping[str, Any]) -> str:
    return sse.to_json(found) + "\n"


# --- a page -----------------------------------------------------------------------------------------------------------


def page(
    request: HttpRequest, form: str, stream: Stream, start: Start, found: Page, *, has_more: bool
) -> HttpResponse:
    """Return the records of `found`, which was read of `stream` from `start` on, and where the next page is.

    `has_more` says that the stream's end is where the log ends now, and not what was asked for.
    """
    following = _next(request, stream, found) if has_more or not found.complete else None
    records = [fields(each) for each in found.records]
    resets = [asdict(each) for each in (*start.resets, *replay.breaks(found))]
    if form == "json":
        whole = {"records": records, "next": following, "cursor": stream.event_id(found.positions)}
        content = _line({**whole, "resets": resets} if resets else whole)
    else:
        content = "".join(map(_line, _lines(records, resets)))
    response = HttpResponse(content, content_type=FORMS[form])
    response["Cache-Control"] = "no-store"
    if following:
        response["Link"] = f'<{following}>; rel="next"'
    patch_vary_headers(response, ["Accept", "Last-Event-ID"])
    return response


def _lines(records: Iterable[dict[str, Any]], resets: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a page of lines: what has to be told first, then the records."""
    yield from ({"reset": each} for each in resets)
    yield from records


def _next(request: HttpRequest, stream: Stream, found: Page) -> str:
    """Return the URL of the next page: the same, from the cursor on."""
    kept = {name: request.GET[name] for name in ("until", "format") if name in request.GET}
    return f"{request.path}?{urlencode({'last_event_id': stream.event_id(found.positions), **kept})}"
