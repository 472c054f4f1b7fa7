"""The whole chain as users run it: Django, Pushpin and relays in processes of their own, in front of one Kafka."""

import http.client
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from confluent_kafka import KafkaException

from tests.harness.environment import clean, manage
from tests.harness.kafka_admin import KafkaAdmin
from tests.harness.ports import free_port, free_port_pair
from tests.harness.processes import Process, listening
from tests.harness.sse import EventSourceClient

READING, READING_SOME = re.compile(r"Reading \d+ more"), re.compile(r"Reading [1-9]\d* more")
SECRET_KEY = "of-the-tests-and-of-no-use-to-anybody-else-0123456789"  # long enough for Django's own checks


@dataclass(frozen=True)
class Options:
    """What differs from the usual: `env` for every part, the others for one; `consumer` is librdkafka's."""

    relays: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    django_env: Mapping[str, str] = field(default_factory=dict)
    pushpin_env: Mapping[str, str] = field(default_factory=dict)
    relay_env: Mapping[str, str] = field(default_factory=dict)
    consumer: Mapping[str, Any] = field(default_factory=dict)
    pushpin_args: Sequence[str] = ()
    relay_args: Sequence[str] = ()
    grip_query: str = ""  # "iss=a&key=b"
    ready_timeout: float = 30.0


class Stack:
    """Django, Pushpin and relays with a group of their own; nothing runs before `start`.

    `django` and `pushpin` are `Process`es, `relays` a list of them; each can be stopped, killed and started by itself.
    `relay_ready` may be replaced before `start`: it is given the stack and a relay, and says whether that relay works.
    """

    def __init__(self, kafka: KafkaAdmin, folder: Path, options: Options | None = None) -> None:
        """Choose ports and write down how each part is run; logs go to `folder`."""
        self.kafka, self.folder, self.options = kafka, folder, options or Options()
        self.group = f"stack-{uuid.uuid4().hex[:12]}"
        self.port, self.django_port, self.publish_port = free_port(), free_port(), free_port_pair()
        # Short, because a unix socket's whole path is limited to 107 bytes, and pytest's own folders are deep.
        self.run_dir = Path(tempfile.mkdtemp(prefix="ks", dir="/tmp"))
        self.relay_ready: Callable[[Stack, Process], object] = relay_in_group
        self.django = self._part("django", self._django_args(), self.options.django_env, self._django_ready)
        self.pushpin = self._part(
            "pushpin", self._pushpin_args(), self.options.pushpin_env, self._pushpin_ready
        )
        self.relays = [self._relay(number) for number in range(self.options.relays)]

    # --- addresses ------------------------------------------------------------------------------------------------

    def url(self, path: str) -> str:
        """Return the URL of `path` through the proxy, as clients use it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def direct_url(self, path: str) -> str:
        """Return the URL of `path` in Django, past the proxy."""
        return f"http://127.0.0.1:{self.django_port}{path}"

    @property
    def grip_url(self) -> str:
        """What GRIP_URL says."""
        query = f"?{self.options.grip_query}" if self.options.grip_query else ""
        return f"http://127.0.0.1:{self.publish_port}{query}"

    def client(self, topic: str, **settings: Any) -> EventSourceClient:
        """Return a client, not started, of a topic's events through the proxy."""
        return EventSourceClient(self.url(f"/events/{topic}/"), **settings)

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start every part and wait until each does its work."""
        parts = [self.django, self.pushpin, *self.relays]
        for part in parts:
            part.start(wait=False)
        for part in parts:
            part.wait_ready()
        return self

    def add_relay(self, **env: str) -> Process:
        """Add one more relay, with more variables, and start it."""
        relay = self._relay(len(self.relays), env)
        self.relays.append(relay)
        return relay.start()

    def close(self) -> None:
        """End everything, in whatever state it is, and remove what it left."""
        for part in (*self.relays, self.pushpin, self.django):
            part.close()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self.close()

    # --- the parts --------------------------------------------------------------------------------------------------

    def _part(
        self, name: str, args: list[str], env: Mapping[str, str], ready: Callable[[], object]
    ) -> Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Process(
            args,
            clean({**self._common_env(), **self.options.env, **env}),
            self.folder / f"{name}.log",
            name,
            ready=ready,
            ready_timeout=self.options.ready_timeout,
        )

    def _common_env(self) -> dict[str, str]:
        consumer = {
            "bootstrap.servers": self.kafka.bootstrap,
            "group.id": self.group,
            **self.options.consumer,
        }
        return {
            "KAFKA_CONSUMER_CONFIG": json.dumps(consumer),
            "GRIP_URL": self.grip_url,
            "DEBUG": "false",
            "SECRET_KEY": SECRET_KEY,
        }

    def _relay(self, number: int, env: Mapping[str, str] | None = None) -> Process:
        args = manage("relay", *self.options.relay_args)
        relay = self._part(
            f"relay-{number}",
            args,
            {**self.options.relay_env, **(env or {})},
            lambda: self.relay_ready(self, relay),
        )
        return relay

    def _django_args(self) -> list[str]:
        return manage("runserver", "--noreload", f"127.0.0.1:{self.django_port}")

    def _pushpin_args(self) -> list[str]:
        given = {
            "port": self.port,
            "origin": f"127.0.0.1:{self.django_port}",
            "publish-port": self.publish_port,
            "run-dir": self.run_dir,
        }
        options = [f"--{name}={value}" for name, value in given.items()]
        return manage("pushpin", *options, *self.options.pushpin_args)

    def _django_ready(self) -> bool:
        return status(self.direct_url("/")) == http.client.OK

    def _pushpin_ready(self) -> bool:
        """Say whether it takes publishes and holds a request that Django, where that runs, has it hold.

        A stock instance turns such a request away until all of its processes have started.  Where the name is none of the topics that this
        chain serves, its 404 has to do.
        """
        if not (listening(self.port)() and listening(self.publish_port)()):
            return False
        return not self.django.alive or status(self.url("/events/readiness/")) in {
            http.client.OK,
            http.client.NOT_FOUND,
        }


def relay_in_group(stack: Stack, relay: Process) -> bool:
    """Say whether a relay has joined the group, and some relay reads partitions, as their logs say.

    A relay joins the group once there is a topic to read; where there is none, running is all that can be seen.  The
    broker is not asked: an admin client that asks where a group's coordinator is, while that restarts, may end the process
    by an assertion (librdkafka 2.16, `rd_kafka_enq_once_del_source_return`).
    """
    try:
        topics = [name for name in stack.kafka.topics() if not name.startswith("__")]
    except KafkaException:
        return False
    has_joined = READING.search(relay.log())
    return not topics or bool(has_joined and any(READING_SOME.search(each.log()) for each in stack.relays))


def status(url: str, timeout: float = 5.0) -> int:
    """Return the status with which a GET of `url` is answered, 0 when it is not."""
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    with suppress(OSError, http.client.HTTPException):
        try:
            link.request("GET", parts.path or "/")
            return link.getresponse().status
        finally:
            link.close()
    return 0
