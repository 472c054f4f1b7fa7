"""The whole chain with a link between each two of its parts that a fault can break."""

import json
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from kafkasse import cursor
from tests.fakes import StubProxy
from tests.faults.judge import Fate
from tests.faults.records import CheckedWriter
from tests.harness.kafka import KafkaBroker
from tests.harness.link import Link
from tests.harness.ports import free_port, free_port_pair
from tests.harness.processes import Process
from tests.harness.stack import Options, Stack

PARTITIONS = 4


class World:
    """A Kafka of its own and a chain in front of it; `topics` are there before the relay starts, as it finds new ones late.

    clients ── front ── Pushpin ── origin ── Django ── web_kafka ── Kafka ── relay_kafka ── relay ── publish, news ── Pushpin

    `topic` and `writer` are those of the episode that is going on; a fault that takes records away writes into `fate` which.
    """

    topic: str
    writer: CheckedWriter
    fate: Fate

    def __init__(self, folder: Path, topics: int) -> None:
        """Choose ports; nothing runs yet."""
        ports = {"RELAY": free_port(), "WEB": free_port()}
        self.kafka = KafkaBroker(folder / "kafka", links=ports)
        self.relay_kafka, self.web_kafka = (
            Link(self.kafka.listeners[name], port) for name, port in ports.items()
        )
        self.topics = [f"faults-{number}" for number in range(topics)]
        publish_port = free_port_pair()
        env = {"GRIP_URL": f"http://127.0.0.1:{publish_port}"}
        # The links stand for a network, of which the parts cannot know where all of them are on one machine.
        far = {"KAFKASSE_SEALED_ANSWERS": "true"}
        self.stack = Stack(self.kafka, folder / "stack", Options(relay_env=env, django_env=far))
        self.front, self.origin = Link(self.stack.port), Link(self.stack.django_port)
        self.publish = Link(self.stack.publish_port, publish_port)
        self.news = Link(self.stack.publish_port + 1, publish_port + 1)
        self._reach_kafka(self.stack.django, ports["WEB"])
        self._reach_kafka(self.relay, ports["RELAY"])
        self.links = (self.front, self.origin, self.publish, self.news, self.relay_kafka, self.web_kafka)
        self.stack.pushpin.args.append(f"--origin=127.0.0.1:{self.origin.port}")
        self.over = threading.Event()
        self._running = ExitStack()

    def _reach_kafka(self, part: Process, port: int) -> None:
        """Have a part come to Kafka by a port of its own."""
        config = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": self.stack.group}
        part.env["KAFKA_CONSUMER_CONFIG"] = json.dumps(config)

    @property
    def relay(self) -> Process:
        """The first relay."""
        return self.stack.relays[0]

    @property
    def parts(self) -> list[Process]:
        """Every process of the chain."""
        return [self.kafka.process, self.stack.django, self.stack.pushpin, *self.stack.relays]

    def url(self, topic: str) -> str:
        """Return a topic's URL, as clients use it."""
        return f"http://127.0.0.1:{self.front.port}/events/{topic}/"

    def tag(self) -> str:
        """Return what the ids of the topic begin with, as it is now."""
        return cursor.tag(self.topic, self.kafka.topic_id(self.topic))

    def misbehaving(self, behaviour: int | str) -> StubProxy:
        """Return a server, started, that answers as told; the `target` of a link is to be set to its port."""
        return self._running.enter_context(StubProxy(behaviour))

    def last(self, seconds: float) -> None:
        """Let a fault last."""
        self.over.wait(seconds)

    def mend(self) -> None:
        """Start what has ended, and repair the links."""
        for link in self.links:
            link.delay = 0.0
            link.restore()
        self.publish.target, self.origin.target = self.stack.publish_port, self.stack.django_port
        for part in self.parts:
            if not part.alive:
                part.start()

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            self._running.enter_context(self.kafka)
            self.kafka.create_topics(self.topics, PARTITIONS)
            for link in self.links:
                self._running.enter_context(link)
            self._running.enter_context(self.stack)
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self.over.set()
        self._running.close()
