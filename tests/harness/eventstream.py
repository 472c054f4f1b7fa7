"""A parser of event streams, written from the standard and from nothing else.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import codecs
import re
from dataclasses import dataclass

LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Event:
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
        first, *more = LINE_END.split(text)
        self._line.append(first)
        events = []
        for following in more:
            if event := self._end_line():
                events.append(event)
            self._line = [following]
        return events

    def _end_line(self) -> Event | None:
        line = "".join(self._line)
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            self.comments += 1
            return None
        name, _, value = line.partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "event":
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
