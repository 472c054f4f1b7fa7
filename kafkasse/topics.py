"""Which names are topics, which topics are public, and what their GRIP channels are called.

Pure: both sides of the chain meet in `channel`.
"""

from __future__ import annotations

import re

Key = tuple[str, int]
"""A partition: its topic and its number."""
Place = tuple[str, int | None]
"""What a chain is of: a partition, or with None a whole topic."""
CONTROL = "~"
"""What stands in place of the partition in the name of a topic's control channel."""
QUIET = "~"
"""The channel on which nothing is ever published.

The proxy asks again for a client of which not each channel has had an item in time; for one with this channel, always.
"""
WHOLE = "all"
"""What stands in place of the partition in the name of the channel that carries all of them."""

# The rule of org.apache.kafka.common.internals.Topic: 1 to 249 of these characters, and neither "." nor "..".
_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}\Z")

_CHANNEL = re.compile(f"([A-Za-z0-9._-]+):([0-9a-z]+):([0-9]{{1,9}}|{WHOLE})")

# What Kafka itself (__consumer_offsets, __transaction_state, …), schema registries, Confluent's and Redpanda's tools
# keep in topics of their own.
_INTERNAL = re.compile(r"__|_schemas\Z|_schema_encoders\Z|_confluent|_redpanda")


def is_name(text: str) -> bool:
    """Say whether Kafka would accept `text` as a topic's name."""
    return _NAME.match(text) is not None


def is_internal(topic: str) -> bool:
    """Say whether `topic` belongs to Kafka or its tools; such topics are neither published nor served."""
    return _INTERNAL.match(topic) is not None


def is_public(topic: str, pattern: str = ".*") -> bool:
    """Say whether `topic` is published and served: no internal one, and `pattern` matches its whole name."""
    return is_name(topic) and not is_internal(topic) and re.fullmatch(pattern, topic) is not None


def channel(topic: str, tag: str, partition: int | None) -> str:
    """Return the name of the channel that carries one partition's items, or with None those of the whole topic.

    `:` cannot stand in a topic's name.  The tag keeps a topic from an earlier one of its name, whose items had the same ids.
    """
    return f"{topic}:{tag}:{WHOLE if partition is None else partition}"


def control_channel(topic: str) -> str:
    """Return the name of the channel that carries hints and closings for all holds of a topic."""
    return f"{topic}:{CONTROL}"


def parts(channel_name: str) -> tuple[str, str, int | None] | None:
    """Return topic, tag and partition of a name that `channel` gave, or None for any other."""
    match = _CHANNEL.fullmatch(channel_name)
    if not match:
        return None
    return match[1], match[2], None if match[3] == WHOLE else int(match[3])
