"""The gate of a starting Pushpin; whether it lets clients wait is tests/acceptance/test_pushpin_command.py."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import pytest

from kafkasse import pushpin_gate

VERSIONS = [(1, 36), (1, 38), (1, 40), (1, 41)]


@pytest.fixture
def meet(tmp_path):
    """Bind a socket for each name, and connect to it as often as told."""
    with ExitStack() as opened:

        def bind(meetings):
            for name, count in meetings.items():
                listener = opened.enter_context(socket.socket(socket.AF_UNIX))
                listener.bind(str(tmp_path / name))
                listener.listen()
                for _ in range(count):
                    opened.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / name))
                    opened.enter_context(listener.accept()[0])

        yield bind


@pytest.mark.parametrize(
    ("version", "origin", "clients"),
    [
        ((1, 36), "ks-zurl-in", "ks-condure-in"),
        ((1, 38), "ks-condure-client-in", "ks-condure-in"),
        ((1, 40), "ks-connmgr-client-in", "ks-connmgr-in"),
    ],
)
def test_meetings_are_at_the_sockets_of_the_version(version, origin, clients):
    """Those of requests to the origin, of clients, and of the two processes in between."""
    meetings = pushpin_gate.meetings(version)
    assert meetings[origin] == meetings["ks-accept"] == 1
    assert meetings[clients] == 2


def test_met_is_true_when_everybody_is_connected(tmp_path, meet):
    """As the system tells it."""
    meetings = {"one": 1, "two": 2}
    assert not pushpin_gate.met(tmp_path, meetings)
    meet(meetings)
    assert pushpin_gate.met(tmp_path, meetings)


@pytest.mark.parametrize("lacking", ["one", "two"])
def test_met_is_false_when_one_is_missing(lacking, tmp_path, meet):
    """A socket that exists has not met anybody yet, nor is one enough where two have to come."""
    meetings = {"one": 1, "two": 2}
    meet(meetings | {lacking: meetings[lacking] - 1})
    assert not pushpin_gate.met(tmp_path, meetings)


def test_met_where_the_system_does_not_tell_waits_for_the_sockets_to_settle(tmp_path, meet, monkeypatch):
    """As on macOS."""
    monkeypatch.setattr(pushpin_gate, "UNIX_SOCKETS", tmp_path / "nowhere")
    assert not pushpin_gate.met(tmp_path, {"one": 1})
    meet({"one": 0})
    monkeypatch.setattr(pushpin_gate, "SETTLED", 3600)
    assert not pushpin_gate.met(tmp_path, {"one": 1})
    monkeypatch.setattr(pushpin_gate, "SETTLED", -1)
    assert pushpin_gate.met(tmp_path, {"one": 1})


@pytest.mark.parametrize("version", VERSIONS)
def test_keep_links_to_where_requests_come_from_when_all_have_met(version, tmp_path, meet, monkeypatch):
    """At once."""
    meet(pushpin_gate.meetings(version))
    monkeypatch.setattr(pushpin_gate, "TIMEOUT", 3600)
    pushpin_gate.keep(tmp_path, version, os.getpid())
    assert str((tmp_path / pushpin_gate.GATE).readlink()) == f"ks-{pushpin_gate.manager(version)}-out"


def test_keep_opens_the_gate_at_last(tmp_path, monkeypatch):
    """A Pushpin that has other sockets than we know serves all the same."""
    monkeypatch.setattr(pushpin_gate, "TIMEOUT", 0.05)
    pushpin_gate.keep(tmp_path, (1, 36), os.getpid())
    assert (tmp_path / pushpin_gate.GATE).is_symlink()


def test_keep_gives_up_when_pushpin_has_ended(tmp_path, monkeypatch):
    """The next start finds the gate closed."""
    monkeypatch.setattr(pushpin_gate, "TIMEOUT", 3600)
    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitpid(ended, 0)
    pushpin_gate.keep(tmp_path, (1, 36), ended)
    assert not (tmp_path / pushpin_gate.GATE).is_symlink()
