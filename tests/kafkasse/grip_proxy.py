"""A GRIP proxy for tests: what Pushpin does with the views' answers, as far as one client sees it.

Where an answer has the `build-id` filter, it filters the body of that, if it is a first answer, and of what is said to its
next link, whatever that holds by.  It passes on as it is what follows an answer without.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from tests.harness.eventstream import Event, EventStreamParser
from tests.kafkasse.fakes import build_id_filter

STEPS = 500
"""More answers in a row than any test needs: the chain does not end."""
MARK = "<the client's vector>"


@dataclass(frozen=True)
class Answer:
    """What the app said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_sealed(self) -> bool:
        """Whether the body is written for the proxy's filter."""
        return self.body.startswith(b"%(")

    @property
    def text(self) -> str:
        """The body; what the filter makes of it, if it is sealed."""
        text = self.body.decode()
        return build_id_filter(text) if self.is_sealed else text

    @property
    def events(self) -> list[Event]:
        """The events of that."""
        return EventStreamParser().feed(self.text.encode())

    @property
    def retry(self) -> int | None:
        """The reconnection time that the body sets."""
        parser = EventStreamParser()
        parser.feed(self.body)
        return parser.retry

    @property
    def holds(self) -> bool:
        """Whether the client is kept."""
        return "Grip-Hold" in self.headers

    @property
    def channels(self) -> dict[str, dict[str, str]]:
        """The parameters of each channel."""
        found = {}
        for each in self.headers["Grip-Channel"].split(", ") if "Grip-Channel" in self.headers else []:
            name, *parameters = each.split("; ")
            found[name] = dict(parameter.split("=", 1) for parameter in parameters)
        return found

    @property
    def filters(self) -> bool:
        """Whether the proxy filters the items that it sends to the client, once this is its hold."""
        found = {each.get("filter") for each in self.channels.values() if "prev-id" in each}
        assert found in ({"build-id"}, {None}, set())
        return found == {"build-id"}

    @property
    def filters_next(self) -> bool:
        """Whether it filters the answer to the next link, which that link has to say."""
        found = any(each.get("filter") == "build-id" for each in self.channels.values())
        assert not found or self.id_format
        if "Grip-Link" in self.headers:
            assert bool(re.search(r"[/_]s/\Z", self.link)) == found
        return found

    @property
    def places(self) -> dict[str, str]:
        """The chained channels of the hold and the ids that it begins at."""
        return {name: each["prev-id"] for name, each in self.channels.items() if "prev-id" in each}

    @property
    def positions(self) -> dict[int, int]:
        """The positions by partition that these stand for."""
        return by_partition(self.places)

    @property
    def id_format(self) -> str:
        """The template that the proxy fills in with the last ids of the channels."""
        return re.search(r'id_format="([^"]*)"', self.headers["Grip-Set-Meta"])[1]

    @property
    def link(self) -> str:
        """Where the proxy asks next."""
        return re.match(r"<([^<>,;\s]*)>; rel=next", self.headers["Grip-Link"])[1]

    @property
    def timeout(self) -> int | None:
        """After how many seconds it asks, with a hold."""
        found = re.search(r"; timeout=(\d+)\Z", self.headers["Grip-Link"])
        return int(found[1]) if found else None


def by_partition(places: Mapping[str, str]) -> dict[int, int]:
    """Return positions by partition, of a stream of one topic, given the ids of its channels."""
    found = {}
    for name, last_id in places.items():
        which = name.rpartition(":")[2]
        positions = [int(each, 36) for each in last_id.split(".")]
        found |= dict(enumerate(positions)) if which == "all" else {int(which): int(last_id, 36)}
    return found


def ask(path: str, method: str = "get", client: Client | None = None, **headers: str) -> Answer:
    """Put a request; `Last_Event_ID` stands for the header Last-Event-ID."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = getattr(client or Client(), method)(path, headers=named)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return Answer(response.status_code, response.headers, body)


@dataclass
class GripProxy:
    """One client behind the proxy: `content` is all that it got, `places` the channels and ids where it is held."""

    content: bytes = b""
    places: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    topic: str = ""
    ended: bool = False

    def open(self, topic: str, path: str = "", **headers: str) -> "GripProxy":
        """Connect, and do what the answers say until the client is held."""
        self.topic = topic
        answer = ask(path or f"/events/{topic}/", **headers)
        return self._settle(answer, filtered=answer.filters_next)

    @property
    def text(self) -> str:
        """The same, as text."""
        return self.content.decode()

    @property
    def positions(self) -> dict[int, int]:
        """Where it is held, by partition."""
        return by_partition(self.places)

    def refill(self) -> "GripProxy":
        """Ask for the held client what it misses, and do what the answers say until it is held again."""
        return self._settle(self._ask_refill(), filtered=self._hold.filters_next)

    @property
    def _hold(self) -> Answer:
        return next(answer for answer in reversed(self.answers) if answer.holds)

    def deliver(self, item: Mapping[str, Any]) -> None:
        """Take an item as Pushpin does: send it where it joins, else ask for what is missing (or drop an old one).

        One of a channel by which the client is not held does not concern it.
        """
        channel, stream = item["channel"], item["formats"]["http-stream"]
        if channel not in self.places:
            return
        if item["prev-id"] != self.places[channel]:
            self.refill()
            return
        self.places[channel] = item["id"]
        # It ends the stream of a client whose hold has other filters.
        assert ("content-filters" in stream) == self._hold.filters
        if not self._hold.filters:
            self.content += stream["content"].encode()
            return
        # Pushpin 1.36 fills in the positions after the item.
        vector = re.sub(r"%\(([^()]*)\)s", lambda name: self.places[name[1]], self._hold.id_format)
        self.content += build_id_filter(stream["content"], vector).encode()

    @property
    def events(self) -> list[Event]:
        """All events of the connection."""
        return EventStreamParser().feed(self.content)

    def records(self) -> list[Event]:
        """Return the events that are no notices."""
        return [event for event in self.events if not event.type.startswith("stream-")]

    def _ask_refill(self) -> Answer:
        return ask(self.answers[-1].link, Grip_Last=self.last())

    def last(self) -> str:
        """Return the Grip-Last of the held client."""
        return ", ".join(f"{channel}; last-id={last_id}" for channel, last_id in self.places.items())

    def _settle(self, answer: Answer, *, filtered: bool) -> "GripProxy":
        for _ in range(STEPS):
            assert answer.status == 200, answer
            self.answers.append(answer)
            self.content += build_id_filter(answer.body.decode(), MARK).encode() if filtered else answer.body
            if answer.holds:
                self.places = answer.places
                if answer.timeout:
                    return self
            elif "Grip-Link" not in answer.headers:
                self.ended = True
                return self
            filtered = answer.filters_next
            answer = self._ask_refill() if answer.holds else ask(answer.link)
        raise AssertionError(f"no hold after {STEPS} answers")
