"""What can go wrong, as one family: the docstring of a class is its message and says the remedy."""

from __future__ import annotations


class KafkaSSEError(Exception):
    """Something went wrong between Kafka and the proxy; the log says what."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class ConfigurationError(KafkaSSEError):
    """The configuration is incomplete or malformed; compare it with .env.example."""


class KafkaUnavailableError(KafkaSSEError):
    """Kafka did not answer in time; see that the brokers in KAFKA_CONSUMER_CONFIG can be reached."""


class TopicChangedError(KafkaUnavailableError):
    """The topic was deleted while its log was read; ask again."""


class ReadersBusyError(KafkaSSEError):
    """All readers of the log are busy; try again, or raise KAFKASSE_READERS."""


class TooManyChannelsError(KafkaSSEError):
    """The topic needs more channels than the proxy takes per connection; raise KAFKASSE_MAX_CHANNELS and its limit."""


class CursorError(KafkaSSEError):
    """The cursor cannot be read; it was not issued by this service, or it was altered."""


class ParameterError(KafkaSSEError):
    """A parameter of the request cannot be used; use one of the accepted forms."""

    def __init__(
        self, message: str | None = None, parameter: str = "", accepted: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.accepted = accepted


class PublishError(KafkaSSEError):
    """The proxy did not accept the items; see that it runs and that GRIP_URL names its publish port."""


class FencedError(KafkaSSEError):
    """Another relay runs under this instance id; give each relay a RELAY_INSTANCE_ID of its own."""
