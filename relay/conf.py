"""The settings of the relay, typed and with their defaults; read at each use, so that `override_settings` works."""

from __future__ import annotations

from django.conf import settings


class Settings:
    """Shadow of Django's settings: one property for each setting of this app."""

    @property
    def RELAY_INSTANCE_ID(self) -> str:
        """The static member's id in the consumer group; empty: the next free slot of this host."""
        return getattr(settings, "RELAY_INSTANCE_ID", "")

    @property
    def RELAY_PUBLISH_TIMEOUT(self) -> int:
        """How many seconds a proxy may take to answer one publish; a stop waits for the one in flight, 4 s at most."""
        return getattr(settings, "RELAY_PUBLISH_TIMEOUT", 4)


conf = Settings()
