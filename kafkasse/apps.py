"""The app's entry in INSTALLED_APPS."""

from django.apps import AppConfig


class KafkaSSEConfig(AppConfig):
    """Views over Kafka topics; registers the system checks."""

    name = "kafkasse"
    verbose_name = "Kafka topics as Server-Sent Events"

    def ready(self) -> None:
        """Register the checks."""
        from kafkasse import checks  # noqa: F401, PLC0415 - importing registers them; settings have to be ready
