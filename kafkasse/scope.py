"""What a request is about: the stream that it asks for, where that starts, and what is known of its topics."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from kafkasse import cursor, positions, resume
from kafkasse.conf import conf
from kafkasse.exceptions import ParameterError, TooManyChannelsError
from kafkasse.start import named_once, parse, resumption
from kafkasse.stream import Stream

if TYPE_CHECKING:
    from django.http import HttpRequest

    from kafkasse.positions import Known
    from kafkasse.replay import Start

logger = logging.getLogger(__name__)


def opened(request: HttpRequest, topics: tuple[str, ...], text: str) -> tuple[Stream, Start, Known]:
    """Return what the client asks for, where it starts, and what is known of the topics.

    The cursor `text` wins over the URL: a browser that comes back with one shall not start over.
    """
    query, now = request.GET, time.time()
    if text:
        asked, alone = resumption(query.dict(), now), cursor.tag_alone(text)
        partition = alone[1] if alone and len(topics) == 1 and cursor.is_tag_of(alone[0], topics[0]) else None
    else:
        asked = parse(named_once(query.lists()), now, conf.KAFKASSE_MAX_LAST)
        partition = asked.partition
    stream = Stream(topics, partition, heartbeat=asked.heartbeat)
    found = known(stream, checked=not text)
    stream = stream.tagged(found.tags)
    start = resume.requested(stream, text, found) if text else resume.begun(stream, asked.start, found)
    return resume.bounded(stream, asked.until, found.positions, now), start, found


def known(stream: Stream, *, checked: bool = False) -> Known:
    """Return what is known of the topics and partitions of `stream`.

    Raises `TooManyChannelsError` rather than let the proxy silently cut the list; and `ParameterError`, where it is to be
    `checked`, for a partition that there is not.
    """
    _require_channels(stream, len(stream.topics))
    found = positions.lookup().committed(stream.topics)
    if stream.partition is None:
        _require_channels(stream, len(found.positions))
        return found
    alone = {key: at for key, at in found.positions.items() if key[1] == stream.partition}
    if checked and (len(stream.topics) > 1 or not alone):
        raise _no_such_partition(stream, len(found.positions))
    return replace(found, positions=alone or {(stream.topics[0], stream.partition): None})


def _no_such_partition(stream: Stream, partitions: int) -> ParameterError:
    if len(stream.topics) > 1:
        message = "partition is one of one topic; ask for that topic alone"
        return ParameterError(message, "partition", tuple(f"/events/{topic}/" for topic in stream.topics))
    message = f"partition cannot be read; {stream.name} has {partitions}"
    return ParameterError(message, "partition", (f"0 to {partitions - 1}",))


def _require_channels(stream: Stream, partitions: int) -> None:
    needed, limit = partitions + len(stream.topics) + 1, conf.KAFKASSE_MAX_CHANNELS
    if needed > limit:
        error = TooManyChannelsError(
            f"{stream.name} has {partitions} partitions and needs {needed} channels; the proxy takes {limit} per connection"
        )
        logger.error("%s", error, extra={"topic": stream.name, "action": "refuse"})
        raise error
