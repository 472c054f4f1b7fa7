"""System checks of this app's settings, for projects that set them by other means than this project's environment."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.core.checks import CheckMessage, Error, register

from kafkasse import grip, positions
from kafkasse.conf import CONSUMER_CONFIG_EXAMPLE, conf, validated_consumer_config
from kafkasse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIDDLEWARE = "django_grip.GripMiddleware"
FOREIGN_TO_POSIX = re.compile(r"\(\?|\\[A-Za-z0-9]")
PREFIX = re.compile("[A-Za-z0-9._-]*")
MOST_CHANNELS = 1000
"""With more partitions a cursor would not fit into a URL and a header."""
PROXY_RETRIES_SECONDS = 36
"""How long Pushpin goes on asking an application that does not answer: 1 + 2 + 4 + 8 + 16 s, and up to 1 s more each."""


@register
def check_consumer_config(**_: Any) -> list[CheckMessage]:
    """E001: KAFKA_CONSUMER_CONFIG names brokers and a group, and librdkafka takes it."""
    try:
        validated_consumer_config(conf.KAFKA_CONSUMER_CONFIG)
        positions.consumer().close()
    except ConfigurationError as error:
        return [
            Error(str(error), hint=f"KAFKA_CONSUMER_CONFIG={CONSUMER_CONFIG_EXAMPLE}", id="kafkasse.E001")
        ]
    return []


@register
def check_proxies(**_: Any) -> list[CheckMessage]:
    """E002: there is a proxy, and each has a URL to publish to."""
    found = conf.GRIP_PROXIES
    if found and all(isinstance(proxy, dict) and proxy.get("control_uri") for proxy in found):
        return []
    return [
        Error(
            "GRIP_PROXIES does not say where to publish. Example: GRIP_URL=http://localhost:5561",
            hint="Set GRIP_PROXIES to a list of what gripcontrol.parse_grip_uri returns.",
            id="kafkasse.E002",
        )
    ]


@register
def check_middleware(**_: Any) -> list[CheckMessage]:
    """E003: django-grip's middleware turns the views' instructions into headers."""
    from django.conf import settings  # noqa: PLC0415 - MIDDLEWARE is Django's setting, not one of ours

    if MIDDLEWARE in settings.MIDDLEWARE:
        return []
    return [
        Error(f"MIDDLEWARE lacks {MIDDLEWARE}", hint=f'MIDDLEWARE = ["{MIDDLEWARE}", …]', id="kafkasse.E003")
    ]


@register
def check_topic_pattern(**_: Any) -> list[CheckMessage]:
    """E004: KAFKASSE_TOPIC_PATTERN is a regular expression."""
    try:
        re.compile(conf.KAFKASSE_TOPIC_PATTERN)
        wrong = (
            FOREIGN_TO_POSIX.search(conf.KAFKASSE_TOPIC_PATTERN) and "librdkafka reads (? and \\d otherwise"
        )
    except (re.error, TypeError) as error:
        wrong = str(error)
    if wrong:
        message = f"KAFKASSE_TOPIC_PATTERN is no regular expression: {wrong}. Example: KAFKASSE_TOPIC_PATTERN=shop[.].*"
        return [Error(message, hint="See Python's re module.", id="kafkasse.E004")]
    return []


def _numbers() -> Iterator[tuple[str, int, int, int]]:
    """Yield each number among the settings with the least and the most that it may be."""
    yield "KAFKASSE_MAX_CHANNELS", conf.KAFKASSE_MAX_CHANNELS, 3, MOST_CHANNELS
    yield "KAFKASSE_PAGE_BYTES", conf.KAFKASSE_PAGE_BYTES, 1, sys.maxsize
    yield "KAFKASSE_CACHE_BYTES", conf.KAFKASSE_CACHE_BYTES, 0, sys.maxsize
    yield "KAFKASSE_REPLAY_REST", conf.KAFKASSE_REPLAY_REST, 0, 100_000
    yield "KAFKASSE_CATCH_UP_RATE", conf.KAFKASSE_CATCH_UP_RATE, 0, sys.maxsize
    yield "KAFKASSE_PAGE_RECORDS", conf.KAFKASSE_PAGE_RECORDS, 1, 100_000
    yield "KAFKASSE_MAX_LAST", conf.KAFKASSE_MAX_LAST, 1, 100_000
    yield "KAFKASSE_READERS", conf.KAFKASSE_READERS, 1, 1000
    yield "KAFKASSE_DIRECT_STREAMS", conf.KAFKASSE_DIRECT_STREAMS, 1, 100_000
    yield "KAFKASSE_KEEP_ALIVE", conf.KAFKASSE_KEEP_ALIVE, 1, 3600
    yield "KAFKASSE_NEXT_TIMEOUT", conf.KAFKASSE_NEXT_TIMEOUT, 1, 3600


@register
def check_numbers(**_: Any) -> list[CheckMessage]:
    """E005: each number is one, and neither too small nor too large."""
    return [
        Error(
            f"{name} is not a whole number from {least} to {most}. Example: {name}={least}",
            hint="docs/reference/settings.md says what it is for, and its default.",
            id="kafkasse.E005",
        )
        for name, value, least, most in _numbers()
        if not isinstance(value, int) or not least <= value <= most
    ]


@register
def check_prefix(**_: Any) -> list[CheckMessage]:
    """E006: GRIP_PREFIX can stand in a header."""
    value = conf.GRIP_PREFIX
    if isinstance(value, str) and PREFIX.fullmatch(value):
        return []
    message = "GRIP_PREFIX has other characters than letters, digits and ._-. Example: GRIP_PREFIX=shop-"
    return [Error(message, hint="It stands in front of each channel's name.", id="kafkasse.E006")]


@register
def check_keys(**_: Any) -> list[CheckMessage]:
    """W001: without a key, anybody who reaches this server can claim to be the proxy."""
    if not conf.GRIP_PROXIES or grip.has_keys():
        return []
    return [
        checks.Warning(
            "No key in GRIP_URL: requests are taken for the proxy's without a proof.",
            hint="GRIP_URL=http://localhost:5561?iss=kafkasse&key=a-long-random-text",
            id="kafkasse.W001",
        )
    ]


@register
def check_keep_alive(**_: Any) -> list[CheckMessage]:
    """W002: a comment of the proxy's own, sent while it waits for its next attempt, makes it ask twice."""
    value = conf.KAFKASSE_KEEP_ALIVE
    if not isinstance(value, int) or value > PROXY_RETRIES_SECONDS:
        return []
    message = f"KAFKASSE_KEEP_ALIVE is not above {PROXY_RETRIES_SECONDS}: clients may get records twice after an outage."
    return [checks.Warning(message, hint="KAFKASSE_KEEP_ALIVE=37", id="kafkasse.W002")]
