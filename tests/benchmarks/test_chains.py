"""What is compared with, by the words of the command line."""

from argparse import ArgumentTypeError

import pytest

from tests.benchmarks.chains import CHAINS
from tests.benchmarks.names import KAFKA_SSE, OURS, RAW
from tests.benchmarks.peers import peer
from tests.benchmarks.run import compared
from tests.benchmarks.workloads import Workload


class Cluster:
    """A cluster that only notes which topics are created."""

    bootstrap = "127.0.0.1:1"

    def __init__(self):
        """None yet."""
        self.created = []

    def create_topics(self, names, _partitions):
        """Note them."""
        self.created += names


@pytest.mark.parametrize(
    ("text", "name", "port", "path"),
    [
        ("Other=http://127.0.0.1:8080/events/{topic}", "Other", 8080, "/events/t"),
        ("A b=http://localhost/sse?topic={topic}&x=1", "A b", 80, "/sse?topic=t&x=1"),
    ],
)
def test_peer_is_where_its_url_says(text, name, port, path):
    """The topic's name takes the place of `{topic}`, also in a query; what is measured is created at the peer's broker."""
    cluster = Cluster()
    found, start = peer(text)
    with start(cluster, 3, Workload("w", 1, 1)) as chain:
        assert (found, chain.name, chain.port) == (name, name, port)
        assert chain.path_of("t") == path
        assert (chain.bootstrap, chain.processes) == (cluster.bootstrap, [])
        assert {chain.topic, chain.warm} <= set(cluster.created)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://127.0.0.1:8080/events/{topic}",
        "Other=http://127.0.0.1:8080/events/",
        "Other=http://127.0.0.1:8080/events/#{topic}",
        "this project=http://127.0.0.1:8080/events/{topic}",
        "Other=https://127.0.0.1:8080/events/{topic}",
        "Other=http://example.com/events/{topic}",
        "Other=http://127.0.0.1:99999999/events/{topic}",
    ],
)
def test_peer_that_is_none_is_refused(text):
    """Also one that is not on this machine: what the network costs is not what is compared."""
    with pytest.raises(ArgumentTypeError, match=r"127\.0\.0\.1|[Pp]ort"):
        peer(text)


def test_chains_get_no_more_clients_than_they_can_take():
    """A consumer alone is one client; a thousand consumers in one process measure nothing."""
    chains = [*CHAINS, "Other"]
    assert RAW in compared(Workload("w", 1, 1), chains)
    assert set(chains) - set(compared(Workload("w", 100, 1), chains)) == {RAW}
    assert set(chains) - set(compared(Workload("w", 101, 1), chains)) == {RAW, KAFKA_SSE}
    assert {OURS, "Other"} <= set(compared(Workload("w", 10_000, 1), chains))
