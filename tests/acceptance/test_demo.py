"""`scripts/demo`, as somebody who has just got the project would run it; in a folder that is prepared already.

Linux only: which processes there are is read from /proc.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness.environment import PROJECT, clean
from tests.harness.ports import free_port, free_port_pair
from tests.harness.processes import Process
from tests.harness.wait import until

# In a folder that is not prepared it makes a virtualenv first.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

READY = "Ctrl-C stops everything."
READY_TIMEOUT = 240
END_TIMEOUT = 4
SECOND_START = 10.0  # seconds to the first event where all is installed; the quickest of a run has to keep it
OPTIONS = ("--port", "--web-port", "--publish-port")
FIELDS = {"demo.clicks": {"visitor", "page", "time"}, "demo.prices": {"name", "price", "time"}}


def choose_ports():
    """Return a free port for each option."""
    return dict(zip(OPTIONS, (free_port(), free_port(), free_port_pair()), strict=True))


def demo(ports, folder, env=None, **settings):
    """Return the demo, not started, in an environment with next to nothing in it."""
    options = (f"{option}={port}" if port else option for option, port in ports.items())
    args = [str(PROJECT / "scripts/demo"), *options]
    return Process(
        args, clean({"HOME": "/nonexistent", **(env or {})}), folder / "demo.log", "demo", **settings
    )


@contextmanager
def running_demo(ports, folder, starts, **env):
    """Start the demo, wait until it says that there are events, and add the seconds that this took to `starts`."""
    process = demo(ports, folder, env, ready=lambda: READY in process.log(), ready_timeout=READY_TIMEOUT)
    began = time.monotonic()
    with process:
        starts.append(time.monotonic() - began)
        yield process


@pytest.fixture
def ports():
    """Choose free ports."""
    return choose_ports()


@pytest.fixture(scope="module")
def starts():
    """Return how long each start took; the first may have had to install something."""
    return []


@pytest.fixture
def running(ports, tmp_path, starts):
    """Start the demo and wait until it says that there are events."""
    with running_demo(ports, tmp_path, starts) as process:
        yield process


def stat(pid):
    """Return a process's parent and its start time, which no other process of that number shares; None if it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] != "Z":
            return int(fields[1]), fields[19]
    return None


def descendants(pid):
    """Return a process and all that it has started: the pid and `stat` of each."""
    everyone = {int(path.name): stat(path.name) for path in Path("/proc").glob("[0-9]*")}
    found = [pid]
    for one in found:
        found += [child for child, known in everyone.items() if known and known[0] == one]
    return {one: everyone[one] for one in found}


def survivors(processes):
    """Return those that still run, whoever their parent is by now, with their command lines."""
    alive = {}
    for pid, (_, began) in processes.items():
        now = stat(pid)
        if now and now[1] == began:
            alive[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return alive


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
def test_demo_shows_two_topics_and_ctrl_c_leaves_nothing(running, ports, listen, send):
    """A terminal sends SIGINT to the whole group; somebody's script sends it to the process alone."""
    clients = {topic: listen(f"http://localhost:{ports['--port']}/events/{topic}/") for topic in FIELDS}
    for topic, client in clients.items():
        assert f"curl -N {client.url}\n" in running.log()
        records = client.wait_for(3, 10)
        assert set(json.loads(records[0].data)) == FIELDS[topic]
        # At least one a second: three have come within three of them, by the clock of the producer.
        times = [json.loads(record.data)["time"] for record in records]
        assert max(times[:3]) - min(times[:3]) < 3

    processes = descendants(running.pid)
    assert len(processes) > 10
    sent_at = time.monotonic()
    send(running.pid, signal.SIGINT)
    assert running.wait(END_TIMEOUT) == 128 + signal.SIGINT
    until(
        lambda: not survivors(processes),
        END_TIMEOUT - (time.monotonic() - sent_at),
        lambda: f"nothing is left of {survivors(processes)}",
    )


@pytest.fixture
def path_without_pushpin(tmp_path):
    """Return a PATH with everything but Pushpin, and with package managers that have no network."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(directory).glob("*"):
            link = folder / program.name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    for name in ("apt-get", "brew", "sudo"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
        (folder / name).chmod(0o755)
    (folder / "pushpin").unlink()
    return str(folder)


def shows_events_without_proxy(process, ports, listen):
    """Say whether the web application itself sends events of both topics."""
    for topic in FIELDS:
        client = listen(f"http://localhost:{ports['--web-port']}/events/{topic}/")
        client.wait_for(2, 10)
        assert f"curl -N {client.url}\n" in process.log()
    assert "pushpin.1" not in process.log()


def test_demo_goes_on_without_pushpin_where_it_cannot_be_installed(
    ports, tmp_path, path_without_pushpin, listen
):
    """And says so; the first look at the project does not end there."""
    with running_demo(ports, tmp_path, [], PATH=path_without_pushpin) as process:
        assert "the demo goes on without it, and the web application streams by itself" in process.log()
        shows_events_without_proxy(process, ports, listen)
        processes = descendants(process.pid)
    until(lambda: not survivors(processes), END_TIMEOUT, lambda: f"nothing is left of {survivors(processes)}")


def test_demo_without_proxy_needs_one_port(ports, tmp_path):
    """Where Pushpin is there, but not wanted: a taken port that only Pushpin would have used is no obstacle."""
    taken = [socket.create_server(("127.0.0.1", ports[option])) for option in ("--web-port", "--port")]
    with taken[0], taken[1]:
        process = demo({**ports, "--without-proxy": None}, tmp_path).start()
        assert process.wait(20) == 1
    assert process.log() == (
        f"Port {ports['--web-port']} is taken by another program; choose another with --web-port.\n"
    )


@pytest.mark.parametrize("part", ["broker", "relay", "pushpin"])
def test_demo_whose_part_dies_says_which_and_ends(running, part):
    """Half a demo would show something that is not so."""
    processes = descendants(running.pid)
    command = {"pushpin": "pushpin --merge-output"}.get(part, f"manage.py {part}")
    (pid,) = (pid for pid, line in survivors(processes).items() if command in line)
    os.kill(pid, signal.SIGKILL)
    assert running.wait(END_TIMEOUT + 1) != 0
    assert f"{part} stopped (rc=-9)" in running.log()
    until(lambda: not survivors(processes), 1, lambda: f"nothing is left of {survivors(processes)}")


@pytest.mark.alone
def test_demo_that_is_installed_shows_events_within_10_s(ports, tmp_path, starts):
    """Half of it is the group's, which waits for more members; other tests use the processors too."""
    while min(starts, default=SECOND_START) >= SECOND_START and len(starts) < 3:
        with running_demo(ports, tmp_path, starts):
            pass
    assert min(starts) < SECOND_START, starts


@pytest.mark.parametrize(("option", "after"), [*((option, 0) for option in OPTIONS), ("--publish-port", 1)])
def test_demo_with_a_taken_port_says_which_and_how_to_change_it(ports, tmp_path, option, after):
    """In one line, and before it installs or starts anything."""
    port = ports[option] + after
    with socket.create_server(("127.0.0.1", port)):
        process = demo(ports, tmp_path).start()
        assert process.wait(20) == 1
    said = f"Port {port} is taken by another program; choose another with {option}.\n"
    assert process.log() == said


def test_demo_with_an_unknown_option_shows_what_there_is(ports, tmp_path):
    """A mistake costs nothing but a line."""
    process = demo({**ports, "--prot": 1}, tmp_path).start()
    assert process.wait(20) == 2
    assert "What is --prot=1?" in process.log()
    assert "--publish-port" in process.log()
