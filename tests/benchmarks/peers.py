"""Servers to compare with that run already, by their URLs."""

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

from tests.benchmarks.chains import CHAINS, Chain, Start, broker_of, new_topics
from tests.benchmarks.workloads import Workload
from tests.harness.kafka_admin import KafkaAdmin

LOOPBACK, HTTP_PORT = ("127.0.0.1", "localhost"), 80


@contextmanager
def elsewhere(
    name: str, port: int, path: str, kafka: KafkaAdmin, number: int, workload: Workload
) -> Iterator[Chain]:
    """Use a server that runs already, and reads the same broker."""
    topics = new_topics(kafka, number, workload)
    processes = broker_of(kafka)
    yield Chain(name, port, kafka.bootstrap, topics.measured, topics.warm, "head", processes, path=path)


def peer(text: str) -> tuple[str, Start]:
    """Return name and start of a server that runs already, from the command line's NAME=URL.

    It has to be on this machine, as all that is measured here; `{topic}` in its URL stands for the topic.
    """
    name, _, address = text.partition("=")
    url = urlsplit(address)
    path = url.path + (f"?{url.query}" if url.query else "")
    fits = url.scheme == "http" and url.hostname in LOOPBACK and "{topic}" in path
    if not name or name in CHAINS or not fits:
        raise ArgumentTypeError(f"{text!r} is not like 'Name=http://127.0.0.1:8080/events/{{topic}}'")
    try:
        port = url.port or HTTP_PORT
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from error
    return name, partial(elsewhere, name, port, path)
