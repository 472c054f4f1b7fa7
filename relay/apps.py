"""The app's entry in INSTALLED_APPS."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    """The command `relay`; registers the system checks."""

    name = "relay"
    verbose_name = "Kafka to GRIP relay"

    def ready(self) -> None:
        """Register the checks."""
        from relay import checks  # noqa: F401, PLC0415 - importing registers them; settings have to be ready
