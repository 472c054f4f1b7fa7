"""How `manage.py pushpin` becomes Pushpin: the program found, its run directory made and cleared, its ports free.

Only the first of Pushpin's processes is a child of whoever started it.  When that one is killed, the others live on
and hold the ports; they are found by the run directory on their command lines, which nobody else has there.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kafkasse.exceptions import ConfigurationError
from kafkasse.pushpin import parsed_version
from kafkasse.pushpin_options import IPC_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafkasse.pushpin_options import Options, Version

INSTALL = "apt-get install pushpin (Debian, Ubuntu), brew install pushpin (macOS), or the image fanout/pushpin (Docker)"
# As many as a stock instance takes clients.
OPEN_FILES = 50_000

PROC = Path("/proc")
# How the first process differs from the others, on the command line.
RUNNER_FLAG = "--merge-output"
END_TIMEOUT = 3.0
CLOSE_TIMEOUT = 0.5
SHARED = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Program:
    """An installed Pushpin."""

    path: str
    version: Version


def find() -> Program:
    """Return the Pushpin on the PATH; raise `ConfigurationError` when there is none, or none that we can configure."""
    path = shutil.which("pushpin")
    if path is None:
        raise ConfigurationError(f"Pushpin is not installed. Install it with {INSTALL}.")
    call = [path, "--version"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{path} --version does not run: {error}.") from error
    return Program(path, parsed_version(done.stdout, path))


def chosen(run_dir: str | None, port: int) -> Path:
    """Return the run directory as an absolute path; by default one of this user alone, for the instance at `port`.

    Its symbolic links stay: a path that goes through them may be the shorter one, and sockets need it short.
    """
    if run_dir:
        return Path(os.path.abspath(run_dir))  # noqa: PTH100
    base = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    # Under sudo it may still be the caller's.
    if not (base.is_absolute() and base.is_dir() and base.stat().st_uid == os.getuid()):
        base = Path(tempfile.gettempdir())
    return base / f"kafkasse-{os.getuid()}-{port}"


def settle(options: Options, files: Mapping[str, str]) -> None:
    """Make everything ready for Pushpin; raise `ConfigurationError` when something is in the way."""
    # The sockets of an ended process close a little later than its command line vanishes, who ever ended it.
    require_free(options.listeners, patience=END_TIMEOUT if prepare(options.run_dir) else CLOSE_TIMEOUT)
    write(options.run_dir, files)


def command(program: str, run_dir: Path) -> list[str]:
    """Return the command line of the first process."""
    return [program, RUNNER_FLAG, f"--config={run_dir / 'pushpin.conf'}"]


def prepare(run_dir: Path) -> bool:
    """Make the directory, end what a killed instance left running and remove its files; say whether anything ran.

    Raises `ConfigurationError` when it belongs to someone else, or when an instance runs in it.
    """
    make(run_dir)
    left = processes(run_dir)
    for pid, line in left:
        if RUNNER_FLAG in line:
            raise ConfigurationError(
                f"Pushpin already runs in {run_dir}, as process {pid}; stop it, or use --run-dir."
            )
    end(run_dir)
    for path in run_dir.iterdir():
        if path.suffix == ".pid" or (
            path.name.startswith(IPC_PREFIX) and (path.is_socket() or path.is_symlink())
        ):
            path.unlink()
    return bool(left)


def make(run_dir: Path) -> None:
    """Make the directory where it is missing, mode 0700; refuse one that others own or may write to."""
    try:
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        run_dir.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The run directory cannot be made: {error}; choose another with --run-dir."
        ) from error
    found = run_dir.lstat()
    if found.st_uid != os.getuid():
        raise ConfigurationError(
            f"The run directory {run_dir} belongs to another user; choose another with --run-dir."
        )
    if found.st_mode & SHARED or not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(
            f"Other users may write to the run directory {run_dir}; choose another with --run-dir."
        )


def end(run_dir: Path) -> None:
    """End the processes of this run directory; at once, since those whom they served are gone."""
    deadline = time.monotonic() + END_TIMEOUT
    while left := [pid for pid, _ in processes(run_dir)]:
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"A killed instance left processes that do not end: {', '.join(map(str, left))}."
            )
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def processes(run_dir: Path) -> list[tuple[int, str]]:
    """Return this user's processes that have the run directory's files on their command line: (pid, command line)."""
    marks = (f" --config={run_dir}/", f"=ipc://{run_dir}/{IPC_PREFIX}")
    return [(pid, line) for pid, line in command_lines() if any(mark in line for mark in marks)]


def command_lines() -> Iterator[tuple[int, str]]:
    """Yield the pid and the command line of each of this user's processes; a dead one's is empty."""
    if not (PROC / "self" / "cmdline").exists():
        yield from listed(os.getuid())
        return
    for folder in PROC.glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.getuid():
                yield (
                    int(folder.name),
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"),
                )
        except OSError:
            continue


def listed(uid: int) -> Iterator[tuple[int, str]]:
    """Yield the same where there is no /proc, on macOS for one."""
    call = ["ps", "-axww", "-o", "pid=,uid=,command="]
    lines = subprocess.run(call, capture_output=True, text=True, check=True).stdout  # noqa: S603
    for line in lines.splitlines():
        match = re.match(r"\s*(\d+)\s+(\d+)\s(.*)", line)
        if match and int(match[2]) == uid:
            yield int(match[1]), match[3]


def write(run_dir: Path, files: Mapping[str, str]) -> None:
    """Write the files, readable for this user alone: one of them holds a key."""
    for name, text in files.items():
        path = run_dir / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)


def require_free(listeners: list[tuple[str, str, int]], patience: float = 0) -> None:
    """Raise `ConfigurationError` for the first port that is taken for `patience` seconds, with the option that moves it."""
    deadline = time.monotonic() + patience
    for option, address, port in listeners:
        while error := obstacle(address, port):
            if time.monotonic() >= deadline:
                raise ConfigurationError(refusal(option, address, port, error)) from error
            time.sleep(0.02)


def obstacle(address: str, port: int) -> OSError | None:
    """Return why nobody can listen at this port, if so."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as trial:
        # What a stopped instance's connections leave behind for a minute is no obstacle to Pushpin.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            trial.listen()
        except OSError as error:
            return error
    return None


def refusal(option: str, address: str, port: int, error: OSError) -> str:
    """Return the line that says why a port cannot be opened, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {address} is taken by another program; choose another one with {option}."
    return f"Port {port} on {address} cannot be opened: {error.strerror}; see {option} and --bind."


def open_files() -> int:
    """Return how many files each of Pushpin's processes may open; the usual soft limit of 1,024 is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return OPEN_FILES
    return max(soft, OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES))


def memory() -> int:
    """Return the machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def become(command: list[str], files: int) -> NoReturn:
    """Replace this process by Pushpin, which then gets its signals and may open that many files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    # What is ignored stays so across an exec: the one by Python, the other by shells for their scripts' background jobs.
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606
