"""A parser of event streams, written from the standard and from nothing else.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import codecs
import re
from typing import NamedTuple

LINE_END = re.compile(r"\r\n|\n|\r")


class Event(NamedTuple):
    """What a browser hands to its listeners; `id` is its `lastEventId`."""

    type: str
    data: str
    id: str


class EventStreamParser:
    """Turns the bytes of one response, in whatever pieces they come, into events.

    `last_event_id` is what a browser would resume with, `retry` the reconnection time in milliseconds or None,
    `comments` the number of comment lines so far.
    """

    def __init__(self, last_event_id: str = "") -> None:
        """Begin a stream; a reconnection begins with the id of the one before."""
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self.comments = 0
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes; one without its blank line is never returned."""
        text = self._decoder.decode(chunk)
        if text and self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if text and self._after_cr:
            # The carriage return ended its line at once: who waits for the next byte delays the event.
            self._after_cr = False
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r") if text else self._after_cr
        *ended, rest = LINE_END.split(text)
        if not ended:
            self._line.append(rest)
            return []
        ended[0] = "".join((*self._line, ended[0]))
        self._line = [rest]
        events = []
        for line in ended:
            if line:
                self._take(line)
            elif event := self._dispatch():
                events.append(event)
        return events

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments += 1
        elif name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value[-18:])  # Python refuses to convert thousands of digits

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        kind, self._type = self._type, ""
        lines, self._data = self._data, []
        return Event(kind or "message", "\n".join(lines), self._id) if lines else None
