"""GRIP, the protocol between this app and the proxy (https://pushpin.org/docs/protocols/grip/).

The only module on this side that knows the GRIP libraries.  An answer is a *hold* (the proxy keeps the client and
delivers items to it) or a *page* (the proxy sends it and asks for the next one at once).
"""

from __future__ import annotations

import ipaddress
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from gripcontrol import Channel, parse_grip_uri
from jwt import PyJWTError
from jwt.algorithms import HMACAlgorithm

from kafkasse import cursor, sse, topics
from kafkasse.conf import conf
from kafkasse.exceptions import ConfigurationError, CursorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kafkasse.stream import Named, Stream
    from kafkasse.topics import Key, Place

logger = logging.getLogger(__name__)

FILTER = "build-id"
"""The one filter that works on answers, too: on the next one, if a channel of this one has it (Pushpin's httpsession.cpp)."""
NO_ID = "-"
"""The template that it insists on, where there is no id to be built."""


def proxies(url: str, more: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the proxies that GRIP URLs name, as dictionaries in django-grip's form (`GRIP_PROXIES`)."""
    found = [_proxy("GRIP_URL", url)] if url else []
    found += [_proxy("GRIP_PROXIES", text) for text in more]
    if not found:
        raise ConfigurationError("GRIP_URL is not set. Example: GRIP_URL=http://localhost:5561")
    return found


def _proxy(variable: str, url: str) -> dict[str, Any]:
    """Return one GRIP URL's parts; raise `ConfigurationError`, which never repeats it, when it is malformed."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        found: dict[str, Any] = parse_grip_uri(url) if usable else {}
    except ValueError:
        found = {}
    _require_usable_key(variable, found)
    if not found:
        raise ConfigurationError(
            f"{variable} is not an http:// or https:// URL. Example: {variable}=http://localhost:5561"
        )
    if "verify_key" in found:
        found.setdefault("key", None)  # django-grip asks for the key even where it does not use it
    return found


def _require_usable_key(variable: str, proxy: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError`, which never repeats it, for a key with which nothing can be published."""
    key, issuer = proxy.get("key") or "key", proxy.get("control_iss")
    try:
        if issuer:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
            return
        token = key if isinstance(key, str) else key.decode("ascii")
    except (PyJWTError, ValueError, TypeError):
        token = ""
    if not re.fullmatch("[!-~]+", token):
        raise ConfigurationError(
            f"{variable} has a key that cannot be sent. Example: {variable}=http://localhost:5561?iss=kafkasse&key=a-long-random-text"
        )


def is_trusted(request: HttpRequest) -> bool:
    """Say whether what the request's GRIP headers say can be relied on: a proxy with one of our keys signed it."""
    return bool(request.grip.signed)  # type: ignore[attr-defined]


def is_forged(request: HttpRequest) -> bool:
    """Say whether the request claims to come from a proxy, but no key of ours signed it."""
    forged = "HTTP_GRIP_SIG" in request.META and not request.grip.proxied  # type: ignore[attr-defined]
    if forged:
        logger.warning(
            "A request bears a Grip-Sig that no key in GRIP_URL has signed", extra={"action": "refuse"}
        )
    return forged


def is_far(request: HttpRequest) -> bool:
    """Say whether answers cross a network on their way to the proxy, where they may be cut off; the setting knows better."""
    if conf.KAFKASSE_SEALED_ANSWERS is not None:
        return conf.KAFKASSE_SEALED_ANSWERS
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a Unix socket has no address
    return not (getattr(peer, "ipv4_mapped", None) or peer).is_loopback


def has_keys() -> bool:
    """Say whether every proxy has a key, so that signatures are checked."""
    return all(proxy.get("verify_key") or proxy.get("key") for proxy in conf.GRIP_PROXIES)


def last_positions(request: HttpRequest, names: tuple[str, ...]) -> Named:
    """Return how far the held client is in each partition, as the proxy says: by topic, with its tag."""
    found: dict[str, tuple[str, dict[int, int]]] = {}
    for name, last_id in _last(request).items():
        if (parts := topics.parts(name)) and parts[0] in names:
            topic, tag, partition = parts
            with suppress(CursorError):
                places = (
                    cursor.positions(last_id)
                    if partition is None
                    else {partition: cursor.decode_number(last_id)}
                )
                found.setdefault(topic, (tag, {}))[1].update(places)
    return found


def waited(request: HttpRequest) -> str | None:
    """Return the place at which a client has waited, as the proxy says; None where it does not."""
    return _last(request).get(topics.QUIET)


def _last(request: HttpRequest) -> dict[str, str]:
    """Return the ids of the client's channels, by their names without the prefix, as the proxy says in `Grip-Last`.

    Where the proxies have keys, a header that none of them signed is not believed.  Without keys it may have been made
    up; it can then do no more than choose a position in a topic that the client may read anyway.
    """
    if has_keys() and not is_trusted(request):
        return {}
    last = request.grip.last  # type: ignore[attr-defined]
    return {name.removeprefix(conf.GRIP_PREFIX): last_id for name, last_id in last.items()}


def stream(body: str) -> HttpResponse:
    """Return an event stream that ends after `body`.

    Its length is told, so that the proxy notices when a client's first answer is cut off: it would else take the part for
    the whole, and go on behind what is missing.  So it does with the others, unless they are sealed (docs/adr/0029).
    """
    content = body.encode()
    response = HttpResponse(content, content_type=sse.CONTENT_TYPE)
    response["Content-Length"] = len(content)
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


def hold(
    request: HttpRequest,
    what: Stream,
    positions: Mapping[Key, int],
    body: str,
    *,
    next_link: str,
    timeout: int | None = None,
) -> HttpResponse:
    """Return a hold at `positions`, after `body`; `timeout` is the next link's, in seconds.

    With a channel for each partition the proxy filters what it sends, and so its next answer is sealed in any case.
    """
    _add_channels(_held(request, sealed=what.sealed), what, positions)
    return _linked(body, next_link, conf.KAFKASSE_NEXT_TIMEOUT if timeout is None else timeout)


def wait(
    request: HttpRequest, body: str, place: str, *, next_link: str, seconds: int, sealed: bool
) -> HttpResponse:
    """Return a hold on nothing, after `body`: the proxy comes for `next_link` in so many seconds, whatever is published.

    Then it says at which `place` the client has `waited`.  The hold has no control channel, by which a relay says that nobody
    need be asked for (docs/adr/0027).
    """
    _held(request, sealed=sealed).add_channel(_filtered(topics.QUIET, place, sealed=sealed))
    return _linked(body, next_link, seconds)


def page(body: str, *, next_link: str, sealed: bool) -> HttpResponse:
    """Return a page; where its link is not `sealed`, its size has no limit as a first answer either."""
    response = _linked(body, next_link)
    if sealed:
        response["Grip-Channel"] = f"{topics.QUIET}; filter={FILTER}"
        response["Grip-Set-Meta"] = f'id_format="{NO_ID}"'
    return response


def _held(request: HttpRequest, *, sealed: bool) -> Any:
    """Return what tells the proxy to hold the client; it still needs channels, one with the filter if its next answer is sealed."""
    instruct = request.grip.start_instruct()  # type: ignore[attr-defined]
    instruct.set_hold_stream()
    instruct.set_keep_alive(sse.KEEP_ALIVE, conf.KAFKASSE_KEEP_ALIVE)
    if sealed:
        instruct.meta["id_format"] = NO_ID
    return instruct


def _linked(body: str, next_link: str, timeout: int | None = None) -> HttpResponse:
    """Return `body` with its link, written by hand: django-grip leaves out a timeout of 0, by which the proxy comes at once."""
    response = stream(body)
    response["Grip-Link"] = f"<{next_link}>; rel=next" + ("" if timeout is None else f"; timeout={timeout}")
    return response


def _add_channels(instruct: Any, what: Stream, positions: Mapping[Key, int]) -> None:
    """Hold a client by the channel of its whole topic, or those of its partitions, and by the control channels.

    Where the records' channels have no filter, a control channel has it if the next answer is to be sealed.
    """
    if what.whole:
        (topic,) = what.topics
        instruct.add_channel(Channel(_channel(what, (topic, None)), prev_id=what.rest(positions)))
    else:
        for key, position in positions.items():
            instruct.add_channel(_filtered(_channel(what, key), cursor.encode_number(position)))
        # A template of the rest, which the proxy fills in with the last ids of each client's channels.
        instruct.meta["id_format"] = what.rest_of(
            positions, lambda key: f"%({conf.GRIP_PREFIX}{_channel(what, key)})s"
        )
    for topic in what.topics:
        instruct.add_channel(_filtered(topics.control_channel(topic), sealed=what.whole and what.sealed))
    # An end has its time, and channels of partitions do not tell of further partitions.
    if not what.whole or what.until is not None:
        instruct.add_channel(topics.QUIET)


def _filtered(name: str, prev_id: str | None = None, *, sealed: bool = True) -> Channel:
    """Return a channel whose items the proxy filters, and with it the next answer; unless that is not to be `sealed`."""
    channel = Channel(name, prev_id=prev_id)
    if sealed:
        channel.filters.append(FILTER)
    return channel


def _channel(what: Stream, place: Place) -> str:
    topic, partition = place
    return topics.channel(topic, what.tags[topic], partition)
