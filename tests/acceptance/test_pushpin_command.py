"""`manage.py pushpin` with the Pushpin installed here: what it opens, leaves behind and survives.

Linux only: which process listens where is read from /proc.
"""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import jwt
import pytest

from relay import chunks

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 20
CLIENT_BUFFER = 262_144
STOP_TIMEOUT = 8
LISTEN = "0A"


class Origin(http.server.BaseHTTPRequestHandler):
    """An application that puts every client on hold, on the channel `t:0`."""

    def do_GET(self):
        """Answer with a greeting and a hold; note the request's signature."""
        self.server.signatures.append(self.headers.get("Grip-Sig"))
        self.send_response(200)
        for name, value in {
            "Content-Type": "text/event-stream",
            "Content-Length": "6",
            "Grip-Hold": "stream",
            "Grip-Channel": "t:tag:0",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_):
        """Stay silent."""


class Instance:
    """A running `manage.py pushpin`."""

    def __init__(self, origin, run_dir, *arguments, grip_url="", files=0):
        """Choose ports that are free now; `start` starts it."""
        self.port, self.publish_port = free_ports()
        self.run_dir, self.origin = run_dir, origin
        self.grip_url = grip_url.format(port=self.publish_port) or "http://localhost:5561"
        self.arguments, self.files = arguments, files
        self.seen = set()
        self.log = run_dir.with_suffix(".log")

    def start(self, *, wait=True):
        """Start it, also again, and wait until it holds clients, or until its client port is open."""
        # A pipe that nobody reads would stop it when it is full.
        with self.log.open("a") as output:
            self.process = manage(
                *(f"--port={self.port}", f"--publish-port={self.publish_port}", f"--run-dir={self.run_dir}"),
                *(f"--origin=127.0.0.1:{self.origin.server_port}", *self.arguments),
                grip_url=self.grip_url,
                files=self.files,
                output=output,
            )
        wait_for(self.is_up if wait else self.listens, START_TIMEOUT, self.failure)
        self.seen |= set(self.tree())

    def is_up(self):
        """Say whether it holds a client, passes on what is published, and is not what a killed instance left running.

        What is published is more than it passes on before it hears that the client took some: a starting instance may
        lose that message, and ends the stream in question when the next one comes.
        """
        assert self.process.poll() is None, self.failure()
        if program(self.process.pid) != "pushpin":
            return False
        with suppress(OSError), self.hold() as stream:
            self.publish(*3 * ["x" * (CLIENT_BUFFER // 2)], "up\n")
            return b"up\n" in read_until(stream, b"up\n")
        return False

    def listens(self):
        """Say whether the client port is open."""
        with suppress(OSError), self.connect():
            return True
        return False

    def failure(self):
        """Return what it said."""
        return self.log.read_text()

    def hold(self, timeout=5):
        """Open a stream and return it after its first bytes."""
        with ExitStack() as opened:
            stream = opened.enter_context(self.connect(timeout))
            if b"hello" not in read_until(stream, b"hello\n"):
                raise ConnectionError
            opened.pop_all()
        return stream

    def connect(self, timeout=5):
        """Ask for a stream."""
        stream = socket.create_connection(("127.0.0.1", self.port), timeout)
        stream.sendall(b"GET /events/t/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return stream

    def publish(self, *contents, **fields):
        """Publish items in one request and return the answer's status."""
        formats = [{"http-stream": {"content": one}} for one in contents]
        return self.post(*({"channel": "t:tag:0", "formats": each, **fields} for each in formats))

    def post(self, *items):
        """Publish items as they are, in one request, and return the answer's status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.publish_port, timeout=5)
        connection.request("POST", "/publish/", json.dumps({"items": items}))
        with connection.getresponse() as answer:
            return answer.status

    def tree(self):
        """Return the pids of the process and its descendants."""
        return descendants(self.process.pid)

    def stop(self):
        """End it, whatever state the test left it in, and what remains of all its processes."""
        self.seen |= set(self.tree())
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_TIMEOUT)
        for pid in self.seen:
            if str(self.run_dir) in command_line(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def manage(*arguments, grip_url, files=0, output=subprocess.PIPE):
    """Start `manage.py pushpin` in an environment with nothing else in it, not even a HOME."""
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "x",
        "GRIP_URL": grip_url,
        "KAFKA_CONSUMER_CONFIG": '{"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}',
    }
    limit = ["prlimit", f"--nofile={files}:{files}"] if files else []
    # As a shell script's background job, which is to end by SIGINT all the same.
    return subprocess.Popen(
        [*limit, "env", "--ignore-signal=INT", sys.executable, "manage.py", "pushpin", *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def refusal(process):
    """Return the exit code and the output of a start that has to fail; end it when it does not."""
    try:
        said = process.communicate(timeout=START_TIMEOUT)[0]
    finally:
        process.terminate()
    return process.returncode, said


def wait_for(condition, timeout, complaint=lambda: ""):
    """Return as soon as the condition holds; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.02)


def free_ports():
    """Return a client port and a publish port that are free, as is the one after each.

    They lie below those that systems give to outgoing connections: an instance that starts again needs them again.
    """
    found = []
    while len(found) < 2:
        port = random.randrange(15_000, 32_000, 2)  # noqa: S311
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.create_server(("127.0.0.1", port + 1)),
        ):
            found.append(port)
    return found if found[0] != found[1] else free_ports()


def read_until(stream, end):
    """Return what a stream sends, up to and with `end`, or to its own end."""
    found = b""
    while end not in found and (more := stream.recv(4096)):
        found += more
    return found


def command_line(pid):
    """Return the command line of a process, empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def program(pid):
    """Return the name of the program that a process runs."""
    return Path(command_line(pid).split("\0")[0]).name


def descendants(pid):
    """Return a process and all that it started, as far as they live."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found = [pid] if pid in parents else []
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def listeners(pids):
    """Return the TCP addresses at which these processes listen, as /proc writes them, by port."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(link.readlink()))
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in inodes:
                address, _, port = fields[1].partition(":")
                found[int(port, 16)] = address
    return found


@pytest.fixture
def origin():
    """Run an application that Pushpin can ask."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        server.signatures = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def run_dir(tmp_path_factory):
    """Return a directory whose name leaves room for sockets."""
    return tmp_path_factory.mktemp("pp") / "r"


@pytest.fixture
def launch(origin, run_dir):
    """Start instances that end with the test."""
    instances = []

    def run(*arguments, name="", wait=True, **keywords):
        instances.append(Instance(origin, Path(f"{run_dir}{name}"), *arguments, **keywords))
        instances[-1].start(wait=wait)
        return instances[-1]

    yield run
    for instance in instances:
        if hasattr(instance, "process"):
            instance.stop()


def test_pushpin_command_becomes_pushpin_and_opens_three_ports_on_loopback(launch):
    """The signals of whoever started it reach Pushpin, and nothing else is reachable by TCP."""
    instance = launch()
    assert program(instance.process.pid) == "pushpin"
    loopback = "0100007F"
    assert listeners(instance.tree()) == {
        instance.port: loopback,
        instance.publish_port: loopback,
        instance.publish_port + 1: loopback,
    }


def test_pushpin_command_delivers_what_is_published(launch):
    """From the publish port, through a hold that the origin asked for, to a client."""
    instance = launch()
    with instance.hold() as stream:
        assert instance.publish("event\n") == 200
        assert b"event\n" in read_until(stream, b"event\n")


def test_pushpin_command_has_clients_wait_until_all_of_it_has_started(launch, tmp_path, monkeypatch):
    """Pushpin answers 500 as long as the process that holds streams is missing, after which a browser never returns."""
    go = tmp_path / "go"
    late = tmp_path / "pushpin-handler"
    late.write_text(
        f'#!/bin/sh\nwhile [ ! -e "{go}" ]; do sleep 0.01; done\nexec {shutil.which(late.name)} "$@"\n'
    )
    late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    instance = launch(wait=False)
    with instance.connect() as stream:
        stream.settimeout(1)
        with pytest.raises(TimeoutError):
            stream.recv(1)
        go.touch()
        stream.settimeout(START_TIMEOUT)
        assert read_until(stream, b"hello\n").startswith(b"HTTP/1.1 200")
        assert instance.publish("event\n") == 200
        assert b"event\n" in read_until(stream, b"event\n")


def test_pushpin_command_binds_the_client_port_alone_to_the_address_given(launch):
    """The publish port has no authentication."""
    instance = launch("--bind=0.0.0.0")
    found = listeners(instance.tree())
    assert found.pop(instance.port) == "00000000"
    assert set(found.values()) == {"0100007F"}


def test_pushpin_command_delivers_27300_items_at_once(launch):
    """A stock instance drops, in silence, what exceeds 25,000 waiting deliveries, and delivers 2,500 a second."""
    instance = launch()
    with ExitStack() as opened:
        streams = [opened.enter_context(instance.hold()) for _ in range(300)]
        started = time.monotonic()
        # A client's own buffer takes 100 items.
        assert instance.publish(*["x\n"] * 90, "end\n") == 200
        assert [read_until(stream, b"end\n").count(b"x\n") for stream in streams] == [90] * 300
    assert time.monotonic() - started < 5


def test_pushpin_command_does_not_wait_for_an_item_that_never_came(launch):
    """A stock instance holds its successor back for 5 s; the client has long asked for what it lacks."""
    instance = launch()
    with instance.hold() as stream:
        instance.publish("first\n", id="1", **{"prev-id": "0"})
        read_until(stream, b"first\n")
        started = time.monotonic()
        instance.publish("third\n", id="3", **{"prev-id": "2"})
        read_until(stream, b"third\n")
    assert time.monotonic() - started < 3


def test_pushpin_command_forgets_what_came_last_when_it_is_told_to(launch):
    """So the first item of a relay that follows a killed one does not wait; and no client is touched."""
    instance = launch()
    with instance.hold() as stream:
        instance.publish("first\n", id="1", **{"prev-id": "0"})
        read_until(stream, b"first\n")
        started = time.monotonic()
        assert instance.post(json.loads(chunks.forget("t:tag:0"))) == 200
        instance.publish("third\n", id="3", **{"prev-id": "2"})
        assert read_until(stream, b"third\n").split() == [b"6", b"third"]
    assert time.monotonic() - started < 0.9  # without, the item waits for a timer of one second


def test_pushpin_command_with_too_many_clients_goes_on_for_the_others(launch):
    """Pushpin panics at its own limit of clients; files run out before that."""
    instance = launch(files=150)
    with ExitStack() as opened:
        held = []
        while len(held) < 150:
            try:
                held.append(opened.enter_context(instance.hold(timeout=1)))
            except OSError:
                break
        assert 50 < len(held) < 150

        crowd = [opened.enter_context(instance.connect()) for _ in range(200)]
        for stream in (*crowd, *held[50:]):
            stream.close()
        wait_for(instance.is_up, STOP_TIMEOUT, instance.failure)
        assert instance.publish("still there\n") == 200
        for stream in held[:50]:
            assert b"still there" in read_until(stream, b"there\n")


def test_pushpin_command_takes_a_body_of_nearly_a_million_bytes(launch):
    """The relay's batches come close to it."""
    instance = launch()
    assert instance.publish("x" * 990_000) == 200


def test_pushpin_command_runs_side_by_side(launch):
    """Each delivers only what was published to it."""
    one, two = launch(name="1"), launch(name="2")
    with one.hold() as first, two.hold() as second:
        assert one.publish("for one\n") == 200
        assert two.publish("for two\n") == 200
        assert b"for two" not in read_until(first, b"for one\n")
        assert b"for one" not in read_until(second, b"for two\n")


def test_pushpin_command_with_a_key_signs_with_it(launch, origin):
    """So that the application can tell its proxy from anyone else."""
    secret = bytes(range(200, 240))
    key = base64.b64encode(secret).decode()
    launch(grip_url=f"http://localhost:{{port}}?iss=me&key=base64:{key}")
    claim = jwt.decode(origin.signatures[-1], secret, algorithms=["HS256"])
    assert claim["iss"] == "me"


def test_pushpin_command_after_sigkill_starts_over_in_the_same_directory(launch):
    """The children of a killed instance live on and hold the ports."""
    instance = launch()
    left = [pid for pid in instance.tree() if pid != instance.process.pid]
    instance.process.kill()
    instance.process.wait()
    assert any(str(instance.run_dir) in command_line(pid) for pid in left)

    instance.start()
    assert not any(str(instance.run_dir) in command_line(pid) for pid in left)
    with instance.hold() as stream:
        assert instance.publish("again\n") == 200
        assert b"again\n" in read_until(stream, b"again\n")


def test_pushpin_command_leaves_a_running_instance_alone(launch):
    """A second start in the same directory fails in one line."""
    instance = launch()
    second = manage(f"--run-dir={instance.run_dir}", grip_url=instance.grip_url)
    code, said = refusal(second)
    assert code == 1
    assert said.count("\n") == 1
    assert f"process {instance.process.pid};" in said
    assert instance.publish("x") == 200


@pytest.mark.parametrize(("index", "option"), [(0, "--port"), (1, "--publish-port"), (2, "--publish-port")])
def test_pushpin_command_with_a_taken_port_says_which_and_how_to_change_it(index, option, run_dir):
    """In one line; Pushpin itself says it in ten, and not how to change it."""
    port, publish_port = free_ports()
    with socket.create_server(("127.0.0.1", (port, publish_port, publish_port + 1)[index])) as taken:
        command = manage(
            *(f"--port={port}", f"--publish-port={publish_port}", f"--run-dir={run_dir}"),
            grip_url="http://localhost:5561",
        )
        code, said = refusal(command)
        assert code == 1
        assert said.count("\n") == 1
        assert f"Port {taken.getsockname()[1]} on 127.0.0.1 is taken" in said
        assert said.endswith(f" {option}.\n")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_pushpin_command_ends_with_all_its_children(launch, ending):
    """Within the time that supervisors grant, with clients connected."""
    instance = launch()
    tree = instance.tree()
    assert len(tree) >= 4
    with instance.hold():
        instance.process.send_signal(ending)
        assert instance.process.wait(STOP_TIMEOUT) == 0
    assert not [pid for pid in tree if str(instance.run_dir) in command_line(pid)]
