"""One item per record: the obvious relay, against which the ratios are quoted.

`relay` consumes, publishes each record as an item of its own (a batch of items per POST, no ids, no chain) and goes on;
`app` answers every request with a hold on the topic's one channel.  Both are run as processes of their own:

    python -m tests.benchmarks.plain relay BOOTSTRAP PUBLISH_PORT TOPIC...
    python -m tests.benchmarks.plain app PORT
"""

import http.client
import json
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

# A connection holds 100 items: larger batches are faster, but lose records even with clients that keep up.
BATCH = 100  # records per POST at most


def item(message: Message) -> dict[str, object]:
    """Return the item of one record."""
    value = (message.value() or b"").decode()
    event = f"event: message\nid: {message.partition()}-{message.offset()}\ndata: {value}\n\n"
    return {"channel": message.topic(), "formats": {"http-stream": {"content": event}}}


def publish(port: int, items: list[dict[str, object]]) -> None:
    """Publish the items in one request and wait for the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "POST", "/publish/", json.dumps({"items": items}), {"Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"publish answered {answer.status}")


def relay(bootstrap: str, publish_port: int, topics: list[str]) -> None:
    """Publish what is written to the topics, for ever."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "plain",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,  # the same favour as the project's relay has
            "fetch.wait.max.ms": 5,
        }
    )
    known = consumer.list_topics(timeout=10).topics
    consumer.assign([TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in known[t].partitions])
    while True:
        first = consumer.poll(1)
        if first is None:
            continue
        taken = [first, *consumer.consume(BATCH - 1, 0)]
        if items := [item(message) for message in taken if not message.error()]:
            with suppress(OSError):  # as the libraries' own publishing does, in the background
                publish(publish_port, items)


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *args: object) -> None:
        """Do nothing: a line per client would be measured too."""


class Server(WSGIServer):
    """Takes a thousand clients that come at once."""

    request_queue_size = 1024


def hold(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer /events/<topic>/ with a hold on the channel of that name."""
    channel = environ["PATH_INFO"].strip("/").rpartition("/")[2]
    start_response(
        "200 OK",
        [("Content-Type", "text/event-stream"), ("Grip-Hold", "stream"), ("Grip-Channel", channel)],
    )
    return [b"retry: 2000\n\n"]


def main() -> None:
    """Run the part that the command line names."""
    part, *rest = sys.argv[1:]
    if part == "relay":
        relay(rest[0], int(rest[1]), rest[2:])
    else:
        make_server("127.0.0.1", int(rest[0]), hold, Server, Quiet).serve_forever()


if __name__ == "__main__":
    main()
