"""Programs that a test starts, watches, hurts and ends.

Each runs in a session of its own, so that it can be ended with all its children, by ids that are certainly its own.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.harness import usage
from tests.harness.environment import PROJECT
from tests.harness.wait import until

SHOWN_LINES = 40
GRACE = 10.0  # seconds that a context manager's end waits before it kills
started: list["Process"] = []
"""Every process of the test that runs; `tests/conftest.py` shows their logs when it fails."""


def end_on_sigterm() -> None:
    """Have SIGTERM end this program as an exception does: with all that it has started, in sessions of their own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Process:
    """One program, which can be started again after it ended; its output is appended to `log_path`."""

    def __init__(
        self,
        args: Sequence[str],
        env: Mapping[str, str],
        log_path: Path,
        name: str,
        *,
        ready: Callable[[], object] | None = None,
        ready_timeout: float = 20.0,
    ) -> None:
        """Prepare the program; `ready` says whether it does its work, and `start` waits for that."""
        self.args, self.env, self.log_path, self.name = list(args), dict(env), log_path, name
        self.ready, self.ready_timeout = ready, ready_timeout
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self, *, wait: bool = True) -> Self:
        """Start it, in the project's folder, and wait until it is ready, unless told not to."""
        assert not self.alive, f"{self.name} runs already"
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                self.args,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                start_new_session=True,
            )
        if self not in started:
            started.append(self)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it is ready; raise AssertionError with the end of its log when it ends or takes too long."""
        if self.ready:
            until(self._is_ready, self.ready_timeout, lambda: f"{self.name} is ready\n{self.tail()}")

    def _is_ready(self) -> object:
        assert self.alive, f"{self.name} ended with {self.returncode}\n{self.tail()}"
        return self.ready() if self.ready else True

    @property
    def pid(self) -> int:
        """The id of the process, and of its session."""
        assert self._child, f"{self.name} was not started"
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._child.poll() if self._child else None

    def signal(self, number: int) -> None:
        """Send a signal to the process alone, as a supervisor does."""
        if self.alive:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Return the exit code; raise AssertionError when it still runs after `timeout` seconds."""
        assert self._child, f"{self.name} was not started"
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not within {timeout:g} s: {self.name} has ended\n{self.tail()}") from None

    def terminate(self, timeout: float = GRACE) -> int:
        """Send SIGTERM and return the exit code; what has not ended in time is killed, and the test fails."""
        self.signal(signal.SIGTERM)
        try:
            code = self.wait(timeout)
        except AssertionError:
            self.kill()
            raise
        return code

    def kill(self, *, children: bool = True) -> None:
        """Send SIGKILL, to its children as well unless told not to, and wait for their end."""
        if children:
            self._end_session()
        else:
            self.signal(signal.SIGKILL)
        self.wait(5)

    def pause(self) -> None:
        """Stop it and its children from running (SIGSTOP); connections stay open."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        """Signal every process of the session: Pushpin gives each of its children a group of its own.

        No stranger can get the session's id as long as one of them lives.
        """
        for pid in usage.of_session(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _end_session(self) -> None:
        """Kill whatever is left, also where the first process has ended: its children outlive it."""

        def none_left() -> bool:
            self._signal_all(signal.SIGKILL)  # again and again: one may have been born since the last look
            return self.returncode is not None and not usage.of_session(self.pid)

        if self._child:
            until(none_left, 5, lambda: f"{self.name} and its children are gone")

    def restart(self, timeout: float = GRACE) -> Self:
        """End it with SIGTERM, start it again and wait until it is ready."""
        self.terminate(timeout)
        return self.start()

    def close(self) -> None:
        """End it and whatever it has left behind; never raises for how it ended."""
        if not self._child:
            return
        self.resume()
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(GRACE)
        self._end_session()

    def __enter__(self) -> Self:
        """Start it."""
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def log(self) -> str:
        """Return what it has written since its last start."""
        return self._read(self._log_start)

    def whole_log(self) -> str:
        """Return what it has written in all its lives."""
        return self._read(0)

    def _read(self, start: int) -> str:
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[start:].decode(errors="replace")

    def tail(self, lines: int = SHOWN_LINES) -> str:
        """Return the last lines of the log, of earlier lives too."""
        return "\n".join(self.whole_log().splitlines()[-lines:])

    def wait_log(self, text: str, timeout: float) -> None:
        """Wait until `text` stands in what it has written since its last start."""
        until(lambda: text in self.log(), timeout, lambda: f"{self.name} logs {text!r}\n{self.tail()}")

    def rss(self) -> int:
        """Return the bytes of memory that it and its children hold now."""
        return sum(use.rss for use in usage.of_session(self.pid).values())

    def cpu(self) -> float:
        """Return the seconds of processor time that it and its living children have used."""
        return sum(use.cpu for use in usage.of_session(self.pid).values())

    def usage(self) -> dict[int, usage.Use]:
        """Return what each of its processes uses, by process id."""
        return usage.of_session(self.pid)


def forget_ended() -> None:
    """Leave out of `started` what has ended: its log says nothing about the next test."""
    started[:] = [process for process in started if process.alive]


def listening(port: int) -> Callable[[], bool]:
    """Return a condition: something accepts connections on `port`."""

    def connects() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    return connects
