"""Messages of the client library → records by partition.  The relay's innermost loop, besides `chunks.build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafkasse.positions import headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Message


def by_partition(
    messages: Iterable[Message], is_reset: Callable[[Message], bool]
) -> dict[Any, list[tuple[Any, ...]]]:
    """Return the records of each partition in their order, as `chunks.Run` has them.

    `is_reset` is told of each error among them, and says whether the log of its partition is another one from there on:
    what came before it is left out then.
    """
    found: dict[Any, list[tuple[Any, ...]]] = {}
    # Those of a partition come in a row.
    last, records = None, []
    for message in messages:
        key = message.topic(), message.partition()
        if message.error():
            if is_reset(message):
                found.pop(key, None)
                last = None
            continue
        if key != last:
            last, records = key, found.setdefault(key, [])
        value: bytes | None = message.value()
        # Only a tombstone shows its key and headers; to unpack them for each record would cost a third.
        if value is None:
            records.append((message.offset(), None, message.key(), headers_of(message)))
        else:
            records.append((message.offset(), value, None, None))
    return found
