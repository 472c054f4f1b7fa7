"""Builds and runs `swarm.c`, the client load of the benchmarks, or another program that counts the same things.

The binary lies in the git-ignored `.cache/` and is rebuilt when a source is newer.
"""

import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SOURCES = sorted(Path(__file__).parent.glob("swarm*.[ch]"))
BINARY = Path(__file__).parents[2] / ".cache" / "swarm"


def build() -> Path:
    """Return the path of an up-to-date swarm, compiling it when needed; raises when there is no C compiler."""
    newest = max(source.stat().st_mtime for source in SOURCES)
    if BINARY.exists() and BINARY.stat().st_mtime >= newest:
        return BINARY
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise RuntimeError("swarm.c needs a C compiler: apt install gcc libc6-dev")
    BINARY.parent.mkdir(exist_ok=True)
    # Two test runs, or threads, may build at once.
    fresh = BINARY.with_name(f"swarm.{os.getpid()}.{threading.get_ident()}")
    main = next(source for source in SOURCES if source.suffix == ".c")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", fresh, main], check=True)
    fresh.replace(BINARY)
    return BINARY


class NotReadyError(RuntimeError):
    """The client load ended before all its clients had their stream."""


@dataclass(frozen=True)
class Load:
    """What a client load is asked for: `expect` records for each of `clients`, over within `timeout` seconds."""

    port: int
    path: str
    clients: int
    expect: int
    timeout: float = 60
    rate: float = 300  # connects per second
    linger: float = 0.3  # seconds to wait for repeats of the last records
    idle: float = 0  # seconds without a record after which it gives up; 0: never before the timeout
    ready: str = "open"
    first: int | None = None
    header: str = ""
    read: int | None = None
    returns: int = 0  # 1: who is sent away comes back, as an EventSource does

    def swarm_command(self) -> list[str]:
        """Return the command line of our own swarm."""
        options = {k: v for k, v in vars(self).items() if v not in (None, "")}
        return [str(build()), *(f"--{name}={value}" for name, value in options.items())]

    def yardstick_command(self, binary: str) -> list[str]:
        """Return the command line of a program that takes PORT PATH CLIENTS EVENTS TIMEOUT RATE."""
        fields = (self.port, self.path, self.clients, self.expect, self.timeout, self.rate)
        return [binary, *map(str, fields)]


class Swarm:
    """A running client load: `wait_ready()`, then write records, then `result()`."""

    def __init__(self, load: Load, command: list[str] | None = None) -> None:
        """Start the clients; `command` is what to run in place of our own program."""
        self.load = load
        self.process = subprocess.Popen(command or load.swarm_command(), stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        """Return the running load; it is ended with the block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the program when it still runs."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_ready(self) -> None:
        """Wait until every client has its stream; raises when the program ends before."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line != "ready":
            raise NotReadyError(f"the clients did not get ready: {line or self.process.wait()}")

    def result(self) -> dict[str, Any]:
        """Wait for the end (the program keeps its own time) and return what was counted."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        if not lines:
            raise RuntimeError(f"the client load died with code {self.process.wait()}")
        return common_names(json.loads(lines[-1]))


def common_names(counted: dict[str, Any]) -> dict[str, Any]:
    """Return the yardstick's result under our names; ours is returned as it is."""
    if "repeated" in counted:
        return counted
    return counted | {
        "missing": counted["expected"] - counted["delivered"],
        "lost": counted["lost_in_gaps"],
        "repeated": counted["dups"],  # it does not tell late ones from repeated ones
        "out_of_order": None,
        "silence_ms": None,
        "notices": {"stream-reset": counted["resets"]},
    }
