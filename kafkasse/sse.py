"""Server-Sent Events: how records and notices are written (WHATWG HTML, section 9.2).

Pure: the live event and the replayed event of one record are written here and nowhere else.
"""

from __future__ import annotations

import json
import random
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    Headers: TypeAlias = Sequence[tuple[str, bytes | None]] | None

CONTENT_TYPE = "text/event-stream"
RETRY_MS = 2000
"""After how many milliseconds a client whose stream ended comes back."""
RETRY_MAX_MS = 5000
"""The most that jitter makes of it, in answers that end with an error."""

KEEP_ALIVE = ":\n\n"
"""A comment: bytes for those in between, nothing for the client."""
BLOCK = 20_000
"""How many characters of a sealed text stand together."""

# A stream's lines end with CRLF, LF or CR, so each of the three would end a data line.
_LINE_END = re.compile(r"\r\n|\n|\r")


def escape(text: str) -> str:
    """Return `text` so that the proxy's `build-id` filter gives it back as it is."""
    return text.replace("%", "%%")


def sealed(text: str) -> str:
    """Return the same in blocks that the filter refuses unless they are whole, and with them the connection.

    Of a text that is cut off it so notices it, but where the cut lies exactly between two blocks, or before the first.
    """
    parts = (text[begin : begin + BLOCK] for begin in range(0, len(text), BLOCK))
    return "".join("%(" + part.replace("\\", "\\\\").replace(")", "\\)") + ")I" for part in parts)


def _data(text: str) -> str:
    """Return the rest of a block whose last line was opened with `data: `."""
    if "\n" in text or "\r" in text:
        text = "\ndata: ".join(_LINE_END.split(text))
    return text


def to_json(value: Any) -> str:
    """Return `value` as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def readable(name: str, value: bytes | None) -> dict[str, str | None]:
    """Return `value` under `name`; as base64, under `<name>_base64`, when it is not UTF-8."""
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(value).decode()}


def readable_headers(headers: Headers) -> list[dict[str, str | None]]:
    """Return a record's headers as a list of `name` and `value`, in order and as often as they occur."""
    return [{"name": name, **readable("value", value)} for name, value in headers or ()]


def tombstone(key: bytes | None, headers: Headers) -> str:
    """Return the data of a tombstone: its key, and its headers when there are any, as JSON."""
    fields: dict[str, Any] = readable("key", key)
    if headers:
        fields["headers"] = readable_headers(headers)
    return to_json(fields)


def payload(value: bytes | None, key: bytes | None = None, headers: Headers = None) -> tuple[str, str]:
    """Return a record's event type and data: text as it is, other bytes as base64, a tombstone's key as JSON."""
    if value is None:
        return "tombstone", tombstone(key, headers)
    try:
        return "message", value.decode()
    except UnicodeDecodeError:
        return "binary", b64encode(value).decode()


def record(
    event_id: str,
    value: bytes | None,
    key: bytes | None = None,
    headers: Headers = None,
) -> str:
    """Return the event of one record, to be sent without a `build-id` filter."""
    kind, data = payload(value, key, headers)
    return f"event: {kind}\nid: {event_id}\ndata: {_data(data)}\n\n"


def live_record(
    id_head: str,
    value: bytes | None,
    key: bytes | None = None,
    headers: Headers = None,
) -> str:
    """Return the event of one record as an item carries it: the proxy puts each client's vector in place of `%I`."""
    kind, data = payload(value, key, headers)
    if "%" in data:
        data = escape(data)
    return f"event: {kind}\nid: {id_head}.%I\ndata: {_data(data)}\n\n"


def notice(name: str, fields: Mapping[str, Any], event_id: str | None = None) -> str:
    """Return the event `stream-<name>`: ours, never Kafka's; with an id it moves the client's cursor."""
    line = f"id: {event_id}\n" if event_id else ""
    return f"event: stream-{name}\n{line}data: {to_json(fields)}\n\n"


def heartbeat(event_id: str, lag: int, age: int, now: float) -> str:
    """Return the notice that nothing is new at `now`, in seconds; its id moves the client's cursor, also where it is idle.

    `lag` is how many records the client is behind, `age` how long the oldest of them has been there, in milliseconds.
    """
    return notice("heartbeat", {"lag": lag, "ms": age, "time": int(now * 1000)}, event_id)


def retry(milliseconds: int = RETRY_MS) -> str:
    """Return the block that tells the client when to come back."""
    return f"retry: {milliseconds}\n\n"


def jitter() -> int:
    """Return after how many milliseconds to come back after an error: spread, so that not all come at once."""
    return random.randint(RETRY_MS, RETRY_MAX_MS)  # noqa: S311 - jitter is no secret


def retry_with_jitter() -> str:
    """Return the block for answers that end with an error."""
    return retry(jitter())
