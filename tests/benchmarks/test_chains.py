"""What is compared with, by the words of the command line."""

from argparse import ArgumentTypeError, Namespace
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from tests.benchmarks.chains import CHAINS
from tests.benchmarks.names import FASTAPI, KAFKA_SSE, OURS, PLAIN, RAW
from tests.benchmarks.peers import peer
from tests.benchmarks.run import NothingPassesError, compared, run_all
from tests.benchmarks.test_report import a_run
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


@pytest.fixture
def run_without(monkeypatch):
    """Return a function that has three chains measured, by one of which nothing arrives, and returns which were."""

    def run_chains(broken):
        chains = {name: name for name in (OURS, PLAIN, FASTAPI)}

        @contextmanager
        def warmed_up(start, _kafka, _number, _workload):
            if start == broken:
                raise NothingPassesError
            yield SimpleNamespace(name=start)

        monkeypatch.setattr("tests.benchmarks.run.CHAINS", chains)
        monkeypatch.setattr("tests.benchmarks.run.broker", nullcontext)
        monkeypatch.setattr("tests.benchmarks.run.warmed_up", warmed_up)
        monkeypatch.setattr(
            "tests.benchmarks.run.measure", lambda workload, chain, *_: a_run(workload, chain.name)
        )
        asked = Namespace(
            chain=[*chains], peer=[], only=["1x100000"], block=[], repeat=2, bootstrap="", yardstick=""
        )
        return [run.chain for run in run_all(asked)]

    return run_chains


def test_chain_that_nothing_passes_keeps_nobody_from_being_measured(run_without):
    """An hour's figures are not lost for one that did not start; its row is missing."""
    assert run_without(PLAIN) == [OURS, FASTAPI, FASTAPI, OURS]


def test_project_that_nothing_passes_is_an_error(run_without):
    """There is nothing to compare with."""
    with pytest.raises(NothingPassesError):
        run_without(OURS)
