"""Run the demo's parts, say when the first event can be had, and stop them all together.

honcho runs them and shows what they say.  The embedded broker is started before it and stopped after it: the others
need its address, and the relay commits to it when it ends.
"""

# ruff: noqa: INP001 - a script
from __future__ import annotations

import http.client
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ports
from honcho import manager as honcho

from kafkasse import pushpin_launch
from kafkasse.exceptions import ConfigurationError
from project import env
from project.management.commands.sample import CLICKS, PRICES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
MANAGE = (sys.executable, str(ROOT / "manage.py"))
# What has not ended after this many seconds is killed; all has to be over within 4.
honcho.KILL_WAIT = 2.5
BROKER_TIMEOUT = 0.5
FIRST_PATIENCE = 1.0
"""Seconds of silence after which a stream that was opened too early is opened again; each time half a second more."""
PROMPTING = 10.0
"""Seconds after which the wait for the first event is worth a line."""


def main() -> None:
    """Start everything; return when all of it has ended."""
    options = ports.parse()
    if lines := ports.complaints(ports.wanted(options)):
        sys.exit("\n".join(lines))
    # Away from the terminal's Ctrl-C: `scripts/demo` gets it, and passes it on as SIGTERM, to this process alone.
    os.setsid()
    signal.signal(signal.SIGTERM, stop)
    env.load(ROOT / ".env")
    os.environ.update(common(options))
    parts = Parts(options.port)
    with kafka() as broker:
        for name, command in commands(options).items():
            parts.add_process(name, "exec " + shlex.join([*MANAGE, *command]))
        threading.Thread(target=watch, args=(broker,), daemon=True).start()
        port = options.web_port if options.without_proxy else options.port
        threading.Thread(target=announce, args=(port,), daemon=True).start()
        parts.loop()
        parts.sweep()
    # A part that ends by itself is a failure, however content it was.
    sys.exit(parts.returncode or 1)


def stop(_number: int, _frame: FrameType | None) -> None:
    """End before the parts have been started."""
    raise SystemExit(128 + signal.SIGTERM)


def say(line: str) -> None:
    """Write a line of our own, in the script's manner."""
    print(line, flush=True)  # noqa: T201


def common(options: argparse.Namespace) -> dict[str, str]:
    """Return the environment of all parts; what `.env` says of proxies is for other occasions."""
    # With a key, so that signatures are made and checked as in earnest.
    grip_url = f"http://localhost:{options.publish_port}?iss=demo&key={secrets.token_hex(16)}"
    proxy = {"GRIP_URL": grip_url, "GRIP_PROXIES": "", "GRIP_PREFIX": ""}
    if options.without_proxy:
        proxy["KAFKASSE_DIRECT"] = "true"
    return {"PYTHONUNBUFFERED": "1", "DEBUG": "true", "DJANGO_RUNSERVER_HIDE_WARNING": "true", **proxy}


def commands(options: argparse.Namespace) -> dict[str, Sequence[str]]:
    """Return the arguments of `manage.py` for each part."""
    origin = f"127.0.0.1:{options.web_port}"
    proxy = (f"--port={options.port}", f"--publish-port={options.publish_port}", f"--origin={origin}")
    found: dict[str, Sequence[str]] = {"django": ("runserver", "--noreload", origin)}
    if not options.without_proxy:
        found |= {"pushpin": ("pushpin", *proxy), "relay": ("relay",)}
    return {**found, "sample": ("sample",)}


class Parts(honcho.Manager):
    """honcho's manager, sure to leave nothing behind."""

    def __init__(self, port: int) -> None:
        """Remember the client port, by which Pushpin's run directory is found."""
        super().__init__()
        self._port = port
        self._starter = os.getpid()

    def terminate(self) -> None:
        """Ask all parts to end; what has not been started yet, as soon as it has."""
        if os.getpid() != self._starter:
            return
        if self._all_started():
            super().terminate()
        else:
            threading.Timer(0.05, self.terminate).start()

    def kill(self) -> None:
        """Kill what has not ended in time."""
        super().kill()
        self.sweep()

    def sweep(self) -> None:
        """End what a killed Pushpin left behind: its children, which are not in its process group."""
        with suppress(ConfigurationError):
            pushpin_launch.end(pushpin_launch.chosen(None, self._port))


@contextmanager
def kafka() -> Iterator[subprocess.Popen[str] | None]:
    """Yield the embedded broker, or None where the environment or `.env` names a Kafka; stop it at the end."""
    configured = env.text("KAFKA_CONSUMER_CONFIG")
    if configured:
        say(f"Using the Kafka of KAFKA_CONSUMER_CONFIG: samples go to its topics {CLICKS} and {PRICES}.")
        yield None
        return
    # The settings ask for one, and this is what it will be replaced by.
    os.environ["KAFKA_CONSUMER_CONFIG"] = consumer_config("127.0.0.1:1")
    # With the topics: a relay that finds some when it starts has its share of them after one round of the group.
    command = [*MANAGE, "broker", CLICKS, PRICES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as broker:  # noqa: S603
        try:
            address = broker.stdout.readline().strip() if broker.stdout else ""
            if not address:
                sys.exit("The embedded broker did not start.")
            os.environ["KAFKA_CONSUMER_CONFIG"] = consumer_config(address)
            # The group is new each time, and alone: no lock file for its slot is needed.
            os.environ["RELAY_INSTANCE_ID"] = "demo"
            say(f"The embedded Kafka broker listens on {address}.")
            yield broker
        finally:
            broker.terminate()
            try:
                broker.wait(BROKER_TIMEOUT)
            except subprocess.TimeoutExpired:
                broker.kill()


def consumer_config(address: str) -> str:
    """Return KAFKA_CONSUMER_CONFIG for the embedded broker."""
    group = f"demo-{secrets.token_hex(4)}"
    # Its topics come into being with the first samples; on one machine, looking for them often costs nothing.
    refresh = {"topic.metadata.refresh.interval.ms": 500}
    return json.dumps({"bootstrap.servers": address, "group.id": group, **refresh})


def watch(broker: subprocess.Popen[str] | None) -> None:
    """Stop everything when the embedded broker ends, or when `scripts/demo` has been killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        if broker and broker.poll() is not None:
            say(f"broker stopped (rc={broker.returncode})")
            break
        time.sleep(0.25)
    os.kill(os.getpid(), signal.SIGTERM)


def announce(port: int) -> None:
    """Say where the events are, once the first one of each topic has been had."""
    started = time.monotonic()
    prompt_at = started + PROMPTING
    for topic in (CLICKS, PRICES):
        patience = FIRST_PATIENCE
        while not had_event(f"http://127.0.0.1:{port}/events/{topic}/", patience):
            if time.monotonic() > prompt_at:
                say(f"Still waiting for the first event, for {time.monotonic() - started:.0f} s ...")
                prompt_at += PROMPTING
            time.sleep(0.1)
            patience = min(patience + 0.5, PROMPTING)
    base = f"http://localhost:{port}"
    say(
        f"""
  Events flow.  In another terminal:

      curl -N {base}/events/{PRICES}/
      curl -N {base}/events/{CLICKS}/

  or in a browser:  {base}/

  Ctrl-C stops everything.
"""
    )


def had_event(url: str, patience: float) -> bool:
    """Say whether a client gets a record before nothing comes for `patience` seconds."""
    with suppress(OSError, http.client.HTTPException):
        opener: Any = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=patience) as stream:
            return any(line == b"event: message\n" for line in stream)
    return False


if __name__ == "__main__":
    main()
