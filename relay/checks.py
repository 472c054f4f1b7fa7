"""System checks of the relay's settings."""

from __future__ import annotations

import re
from typing import Any

from django.core.checks import CheckMessage, Error, register

from relay.conf import conf

INSTANCE = re.compile("[A-Za-z0-9._-]{0,249}")
"""What Kafka takes for a `group.instance.id`; empty: the relay chooses."""


@register
def check_publish_timeout(**_: Any) -> list[CheckMessage]:
    """E001: RELAY_PUBLISH_TIMEOUT is a time."""
    value = conf.RELAY_PUBLISH_TIMEOUT
    if isinstance(value, int) and value >= 1:
        return []
    message = "RELAY_PUBLISH_TIMEOUT is not a whole number of seconds. Example: RELAY_PUBLISH_TIMEOUT=4"
    hint = "docs/reference/settings.md says what it is for, and its default."
    return [Error(message, hint=hint, id="relay.E001")]


@register
def check_instance_id(**_: Any) -> list[CheckMessage]:
    """E002: RELAY_INSTANCE_ID is a name that Kafka takes."""
    value = conf.RELAY_INSTANCE_ID
    if isinstance(value, str) and INSTANCE.fullmatch(value):
        return []
    message = "RELAY_INSTANCE_ID has other characters than letters, digits and ._-. Example: RELAY_INSTANCE_ID=relay-1"
    return [Error(message, hint="Each relay of a group needs one of its own.", id="relay.E002")]
