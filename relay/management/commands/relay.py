"""`manage.py relay`: republish every Kafka topic to the GRIP proxies until a signal says stop."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafkasse import garbage
from kafkasse.conf import conf as kafkasse_conf
from kafkasse.exceptions import FencedError
from relay import status
from relay.conf import conf
from relay.instance import instance_id
from relay.publisher import HTTPPublisher
from relay.reminders import Reminders
from relay.runner import Runner
from relay.shutdown import stop_on_signal
from relay.source import Source
from relay.subscriptions import subscriptions


class Command(BaseCommand):
    """Parse, build, run, exit code."""

    help = "Republish the records of every Kafka topic to the GRIP proxies, as Server-Sent Events."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until the first SIGTERM or SIGINT; exit code 1 when another relay has taken this one's name."""
        config = kafkasse_conf.KAFKA_CONSUMER_CONFIG
        proxies, prefix = kafkasse_conf.GRIP_PROXIES, kafkasse_conf.GRIP_PREFIX
        with (
            stop_on_signal() as stop,
            instance_id(config["group.id"], conf.RELAY_INSTANCE_ID) as instance,
            subscriptions(proxies) as subscribed,
            closing(HTTPPublisher(proxies, conf.RELAY_PUBLISH_TIMEOUT)) as publisher,
        ):
            pattern = kafkasse_conf.KAFKASSE_TOPIC_PATTERN
            source = Source(config, instance, pattern, stop, joins=subscribed.tells)
            runner = Runner(
                source,
                publisher,
                stop,
                prefix,
                subscribed,
                reminders=Reminders(kafkasse_conf.KAFKASSE_NEXT_TIMEOUT),
                after_tick=status.reporter(self.stdout),
            )
            garbage.look_seldom()
            try:
                runner.run()
            except FencedError as error:
                raise CommandError(str(error)) from error
