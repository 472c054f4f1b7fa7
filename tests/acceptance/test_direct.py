"""Streams without a proxy, from a real Kafka: Django's development server, and a server with an event loop."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.crowd import arrived
from tests.harness.check import NumberedWriter, check
from tests.harness.environment import PYTHON, clean
from tests.harness.ports import free_port
from tests.harness.processes import Process, listening
from tests.harness.stack import Options, Stack
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

CLIENTS = 10


@pytest.fixture(scope="module", params=["runserver", "uvicorn"])
def server(request, kafka, tmp_path_factory):
    """Run the application alone, with next to nothing configured; return its process and its port."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = Stack(kafka, folder, Options(relays=0, env={"DEBUG": "true", "KAFKASSE_READERS": "1"})).django
    port = free_port()
    commands = {
        "runserver": [PYTHON, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
        "uvicorn": [PYTHON, "-m", "uvicorn", "project.asgi:application", f"--port={port}"],
    }
    process = Process(
        commands[request.param],
        clean(settings.env),
        folder / "server.log",
        request.param,
        ready=listening(port),
    )
    with process:
        yield process, port


def threads(process):
    """Return how many threads the process has."""
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def test_clients_get_past_and_live_without_relay_and_proxy(kafka, server, topic, listen):
    """Ten of them, each cut twice, while records are written: nothing lost, nothing repeated in a connection."""
    process, port = server
    url = f"http://127.0.0.1:{port}/events/{topic}/?offset=earliest&heartbeat=5"
    with NumberedWriter(kafka.bootstrap, topic, rate=300) as writer:
        writer.wait_total(300, 20)
        bounded = f"http://127.0.0.1:{port}/events/{topic}/?offset=earliest&until=now"
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(httpx.get, [bounded] * 2 * CLIENTS))
        before = threads(process)  # the reader and the look-ups are made by now
        clients = [listen(url, reconnect=True, max_retry=0.2) for _ in range(CLIENTS)]
        for _ in range(2):
            writer.wait_total(writer.total + 400, 20)
            for client in clients:
                client.cut()
        writer.wait_total(writer.total + 300, 20)
        last = writer.stop()
    for client in clients:
        client.wait_for(lambda client: arrived(client, last), 30, f"everything up to {last}")
        check(client.records, last).assert_ok()
        assert {event.type for event in client.notices} <= {"stream-open", "stream-heartbeat"}
        client.close()
    if process.name == "runserver":
        until(lambda: threads(process) <= before, 20, lambda: f"of {threads(process)} threads {before} stay")


def test_client_goes_on_from_the_proxy_to_the_application_and_back(kafka, stack, server, topic, listen):
    """The same events, the same ids."""
    _process, port = server
    with stack.client(topic) as client:
        client.wait_open()
        kafka.produce(topic, b"a")
        client.wait_for(1, 10)
    kafka.produce(topic, b"b", partition=1)
    direct = listen(f"http://127.0.0.1:{port}/events/{topic}/", last_event_id=client.last_event_id)
    direct.wait_for(1, 10)
    direct.close()
    kafka.produce(topic, b"c", partition=2)
    with stack.client(topic, last_event_id=direct.last_event_id) as back:
        back.wait_for(1, 10)
    assert [event.data for each in (client, direct, back) for event in each.records] == ["a", "b", "c"]
    for each in (client, direct, back):
        assert "stream-reset" not in {event.type for event in each.notices}


def test_bounded_read_ends(server, kafka, topic):
    """As a script wants it."""
    _process, port = server
    kafka.produce(topic, b"a", b"b")
    began = time.monotonic()
    answer = httpx.get(f"http://127.0.0.1:{port}/events/{topic}/?offset=earliest&until=now", timeout=10)
    assert time.monotonic() - began < 5
    assert answer.text.count("event: message") == 2
    assert answer.text.rstrip().rpartition("event: ")[2].startswith("stream-end")
