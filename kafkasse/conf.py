"""The settings of this app, typed and with their defaults; read at each use, so that `override_settings` works.

Nobody else in this package asks Django's settings.  `docs/reference/settings.md` describes each of them.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from kafkasse.exceptions import ConfigurationError

CALLBACKS = frozenset({"on_commit", "logger"})
"""What the Python client takes besides librdkafka's settings, which would have to be functions."""
CONSUMER_CONFIG_EXAMPLE = '{"bootstrap.servers": "localhost:9092", "group.id": "mygroup"}'


def validated_consumer_config(config: Any) -> dict[str, Any]:
    """Return `config` when it names brokers and a group; raise `ConfigurationError` otherwise."""
    example = f"Example: KAFKA_CONSUMER_CONFIG={CONSUMER_CONFIG_EXAMPLE}"
    if not isinstance(config, dict):
        raise ConfigurationError(f"KAFKA_CONSUMER_CONFIG is not a JSON object. {example}")
    for name in ("bootstrap.servers", "group.id"):
        if not isinstance(config.get(name), str) or not config[name].strip():
            raise ConfigurationError(f'KAFKA_CONSUMER_CONFIG has no "{name}". {example}')
    for name, value in config.items():
        if name in CALLBACKS or name.endswith("_cb"):
            raise ConfigurationError(f'KAFKA_CONSUMER_CONFIG: "{name}" is none of librdkafka\'s. {example}')
        if not str(value).isprintable():
            raise ConfigurationError(f'KAFKA_CONSUMER_CONFIG: "{name}" has unprintable characters. {example}')
        if isinstance(value, (dict, list)) or value is None:
            raise ConfigurationError(
                f'KAFKA_CONSUMER_CONFIG: "{name}" is not a text, a number or a boolean. {example}'
            )
    return config


class Settings:
    """Shadow of Django's settings: one property for each setting of this app."""

    @property
    def KAFKA_CONSUMER_CONFIG(self) -> dict[str, Any]:
        """librdkafka's configuration, with at least `bootstrap.servers` and `group.id` (the relay's group)."""
        return getattr(settings, "KAFKA_CONSUMER_CONFIG", {})

    @property
    def GRIP_PROXIES(self) -> list[dict[str, Any]]:
        """The proxies, in the form that `gripcontrol.parse_grip_uri` returns."""
        return getattr(settings, "GRIP_PROXIES", [])

    @property
    def GRIP_PREFIX(self) -> str:
        """What stands in front of each channel's name, for deployments that share one proxy."""
        return getattr(settings, "GRIP_PREFIX", "")

    @property
    def KAFKASSE_TOPIC_PATTERN(self) -> str:
        """A regular expression (Python's) for the names of the topics to serve; it has to match the whole name."""
        return getattr(settings, "KAFKASSE_TOPIC_PATTERN", ".*")

    @property
    def KAFKASSE_MAX_CHANNELS(self) -> int:
        """How many channels the proxy takes per connection: its `connection_subscription_max`."""
        return getattr(settings, "KAFKASSE_MAX_CHANNELS", 1000)

    @property
    def KAFKASSE_PAGE_BYTES(self) -> int:
        """The size of a page of the log, in bytes; a page ends before the record that would pass it."""
        return getattr(settings, "KAFKASSE_PAGE_BYTES", 1_000_000)

    @property
    def KAFKASSE_CACHE_BYTES(self) -> int:
        """How much memory one process takes to keep pages that others may ask for, too; 0 keeps none."""
        return getattr(settings, "KAFKASSE_CACHE_BYTES", 64_000_000)

    @property
    def KAFKASSE_REPLAY_REST(self) -> int:
        """How many times as long as the proxy takes to answer, replays rest after each megabyte; 0: they do not."""
        return getattr(settings, "KAFKASSE_REPLAY_REST", 100)

    @property
    def KAFKASSE_CATCH_UP_RATE(self) -> int:
        """How fast one process lets clients catch up that come at the same time, in bytes per second; 0: at once."""
        return getattr(settings, "KAFKASSE_CATCH_UP_RATE", 120_000_000)

    @property
    def KAFKASSE_SEALED_ANSWERS(self) -> bool | None:
        """Whether the proxy is to notice when an answer is cut off on its way; None: where it is on another machine."""
        return getattr(settings, "KAFKASSE_SEALED_ANSWERS", None)

    @property
    def KAFKASSE_PAGE_RECORDS(self) -> int:
        """The most records of a page in JSON."""
        return getattr(settings, "KAFKASSE_PAGE_RECORDS", 1000)

    @property
    def KAFKASSE_MAX_LAST(self) -> int:
        """The most records that `?last=` may ask for; to find them, about as many and a few of each partition are read."""
        return getattr(settings, "KAFKASSE_MAX_LAST", 1000)

    @property
    def KAFKASSE_READERS(self) -> int:
        """How many pages are read from Kafka at the same time, by one process."""
        return getattr(settings, "KAFKASSE_READERS", 4)

    @property
    def KAFKASSE_KEEP_ALIVE(self) -> int:
        """After how many silent seconds the proxy sends a comment by itself, while this application cannot be asked.

        Longer than Pushpin goes on retrying (36 s), else a client may get records twice: docs/adr/0011.
        """
        return getattr(settings, "KAFKASSE_KEEP_ALIVE", 37)

    @property
    def KAFKASSE_NEXT_TIMEOUT(self) -> int:
        """After how many seconds the proxy asks for a hold again: this repairs a lost last item, and keeps alive."""
        return getattr(settings, "KAFKASSE_NEXT_TIMEOUT", 29)

    @property
    def KAFKASSE_DIRECT(self) -> bool:
        """Whether clients that no proxy forwards are sent records by this process itself; by default as `DEBUG` is."""
        return getattr(settings, "KAFKASSE_DIRECT", settings.DEBUG)

    @property
    def KAFKASSE_DIRECT_STREAMS(self) -> int:
        """How many such clients one process serves at a time; each takes a thread of the server's, unless it is an ASGI one."""
        return getattr(settings, "KAFKASSE_DIRECT_STREAMS", 100)


conf = Settings()
