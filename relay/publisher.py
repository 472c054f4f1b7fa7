"""Publishing to the GRIP proxies over HTTP (https://pushpin.org/docs/protocols/grip/#http-publishing).

Not through pubcontrol's client: its asynchronous queue swallows failures, and its synchronous call has no time-out.  Nor
through urllib3, whose pool is of no use where each connection is closed, and takes a third of a millisecond: every record
waits for a publish.
"""

from __future__ import annotations

import logging
import ssl
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import jwt

from kafkasse.exceptions import PublishError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

logger = logging.getLogger(__name__)

TOKEN_SECONDS = 3600
REFUSED = frozenset({400, 413, 422})
"""Statuses by which a proxy says that it will never accept this body, whenever it is sent."""
CONNECT_SECONDS = 3.0
"""How long a proxy may take to be there."""
KEPT_SECONDS = 5.0
"""How long a connection that was opened ahead may wait for its request: something in between may drop idle ones silently."""
SHOWN = 200
"""How many bytes of a refusal are shown."""


class RefusedError(PublishError):
    """The proxy refuses the items themselves; they cannot be published, whenever they are sent."""


class Publisher(Protocol):
    """What the runner needs of a publisher."""

    def publish(self, body: bytes) -> None:
        """Return once a proxy has accepted `body`, a JSON document with GRIP items.

        Blocks for as long as the time-out allows.  Raises `RefusedError` where no attempt can ever succeed, and
        `PublishError` where a later one may.
        """

    def prepare(self) -> None:
        """Do what saves the next publish time; to be called when the proxies have delivered the one before."""


class Proxy:
    """One proxy's publish endpoint, from a dictionary as `gripcontrol.parse_grip_uri` returns it."""

    def __init__(self, config: Mapping[str, Any], timeout: float) -> None:
        parts = urlsplit(config["control_uri"])
        self.name = parts.netloc.rpartition("@")[2]
        # Below the control URI, whose query stays.
        self._path = urlunsplit(("", "", parts.path.rstrip("/") + "/publish/", parts.query, ""))
        kind: Callable[..., HTTPConnection] = HTTPConnection
        if parts.scheme == "https":
            kind = partial(HTTPSConnection, context=ssl.create_default_context())
        self._connection = partial(
            kind, parts.hostname or "", parts.port, timeout=min(timeout, CONNECT_SECONDS)
        )
        self._config, self._timeout = config, timeout
        self._ahead: HTTPConnection | None = None
        self._ahead_since = 0.0
        self._is_answering = False

    def post(self, body: bytes) -> None:
        """Send `body`; raise `RefusedError` or `PublishError` for any answer but success."""
        end = time.monotonic() + self._timeout
        try:
            status, said = self._answer(body, end)
        except (OSError, HTTPException) as error:
            raise PublishError(f"{self.name}: {error.__class__.__name__}") from error
        if status in REFUSED:
            raise RefusedError(f"{self.name} refuses the items: {said!r}")
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's success
            raise PublishError(f"{self.name} answers {status}")
        self._is_answering = True

    def _answer(self, body: bytes, end: float) -> tuple[int, bytes]:
        """Return the status of the proxy's answer, and the beginning of its text."""
        ahead, self._ahead = self._ahead, None
        if ahead:
            # It fails where the proxy has been started again meanwhile.
            with closing(ahead), suppress(ConnectionError, HTTPException):
                if time.monotonic() - self._ahead_since < KEPT_SECONDS:
                    return self._asked(ahead, body, end)
        with closing(self._connection()) as connection:
            connection.connect()
            return self._asked(connection, body, end)

    def _asked(self, connection: HTTPConnection, body: bytes, end: float) -> tuple[int, bytes]:
        connection.sock.settimeout(max(0.001, end - time.monotonic()))  # 0 would be: do not block
        connection.request("POST", self._path, body, self._headers())
        answer = connection.getresponse()
        return answer.status, answer.read(SHOWN)

    def connect_ahead(self) -> None:
        """Open the connection for the next body, once after each success; blocks for `CONNECT_SECONDS` at the most."""
        if not self._is_answering:
            return
        self._is_answering = False
        connection = self._connection()
        try:
            connection.connect()
        except OSError:
            connection.close()
        else:
            self._ahead, self._ahead_since = connection, time.monotonic()

    def close(self) -> None:
        """Close the connection that waits, if there is one."""
        if self._ahead:
            self._ahead.close()

    def _headers(self) -> dict[str, str]:
        # Pushpin's publish server closes each connection; to say so saves it the wait for a second request.
        headers = {"Content-Type": "application/json", "Connection": "close"}
        key = self._config.get("key")
        if key and (issuer := self._config.get("control_iss")):
            claims = {"iss": issuer, "exp": int(time.time()) + TOKEN_SECONDS}
            headers["Authorization"] = f"Bearer {jwt.encode(claims, key)}"
        elif key:
            headers["Authorization"] = f"Bearer {key.decode() if isinstance(key, bytes) else key}"
        return headers


class HTTPPublisher:
    """Publishes to every proxy, and is content when one of them accepts.

    A proxy that missed items is no loss: its clients see the gap in the chain and are repaired from the log.  So one
    that is down neither stops the others nor is waited for; it is tried again with each publish, one at a time.
    """

    def __init__(self, proxies: Sequence[Mapping[str, Any]], timeout: float) -> None:
        self._proxies = [Proxy(config, timeout) for config in proxies]
        self._attempts: dict[Proxy, Future[PublishError | None]] = {}
        self._down: set[Proxy] = set()
        self._threads = ThreadPoolExecutor(len(self._proxies), thread_name_prefix="relay-publish")

    def publish(self, body: bytes) -> None:
        """Send `body` to all proxies at once; see `Publisher.publish`."""
        errors = [self._attempt(self._proxies[0], body)] if len(self._proxies) == 1 else self._all(body)
        if all(errors):
            raise next((error for error in errors if isinstance(error, RefusedError)), errors[0])  # type: ignore[misc]

    def prepare(self) -> None:
        """Open the connections for the next publish: the proxies accept them before a record waits for that."""
        for proxy in self._proxies:
            if proxy not in self._attempts or self._attempts[proxy].done():
                proxy.connect_ahead()

    def close(self) -> None:
        """Close the connections that wait; for the end, when no publish is under way."""
        for proxy in self._proxies:
            proxy.close()

    def _all(self, body: bytes) -> list[PublishError | None]:
        """Return what came of it at the proxies that are up; at all of them when it is accepted nowhere else."""
        up = [proxy for proxy in self._proxies if proxy not in self._down]
        idle = [each for each in self._proxies if each not in self._attempts or self._attempts[each].done()]
        for proxy in idle:
            self._attempts[proxy] = self._threads.submit(self._attempt, proxy, body)
        errors = [self._attempts[proxy].result() for proxy in idle if proxy in up]
        if all(errors):
            errors += [self._attempts[proxy].result() for proxy in idle if proxy not in up]
        return errors or [PublishError("every proxy is still busy with an earlier publish")]

    def _attempt(self, proxy: Proxy, body: bytes) -> PublishError | None:
        """Return what went wrong, if anything; say when a proxy goes and comes back, once each."""
        try:
            proxy.post(body)
        except PublishError as error:
            if proxy not in self._down and not isinstance(error, RefusedError):
                self._down.add(proxy)
                logger.warning(
                    "Proxy does not accept items, trying on: %s", error, extra={"action": "publish"}
                )
            return error
        if proxy in self._down:
            self._down.discard(proxy)
            logger.info("Proxy accepts items again: %s", proxy.name, extra={"action": "publish"})
        return None
