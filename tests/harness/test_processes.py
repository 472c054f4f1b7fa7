"""Programs are started, watched and ended by the harness as a test needs it."""

import signal
import socket
from pathlib import Path

import pytest

from tests.harness.environment import PYTHON, clean
from tests.harness.ports import free_port, free_port_pair
from tests.harness.processes import Process, listening
from tests.harness.wait import until

CHILD = "import time; print('child', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time; print('parent', flush=True);"
    f"subprocess.Popen([sys.executable, '-c', {CHILD!r}]); time.sleep(60)"
)
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def program(tmp_path):
    """Return a function that makes a process of Python code; all are closed in the end."""
    made = []

    def make(code, **options):
        made.append(
            Process([PYTHON, "-c", code], clean(), tmp_path / f"{len(made)}.log", "program", **options)
        )
        return made[-1]

    yield make
    for process in made:
        process.close()


def gone(pid):
    """Say whether no living process has this id."""
    try:
        return state(pid) == "Z"
    except OSError:
        return True


def state(pid):
    """Return the letter by which Linux says what a process does: T stopped, Z dead, …."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_process_terminate_returns_the_exit_code(program):
    """SIGTERM ends what does not catch it."""
    process = program(PARENT).start()
    process.wait_log("child", 10)
    assert process.terminate(5) == -signal.SIGTERM
    assert not process.alive


def test_process_close_ends_children_that_the_parent_left(program):
    """A killed parent leaves its child; closing ends it."""
    process = program(PARENT).start()
    process.wait_log("child", 10)
    children = set(process.usage()) - {process.pid}
    process.kill(children=False)
    assert children
    assert not any(map(gone, children))
    process.close()
    until(lambda: all(map(gone, children)), 5, "the children are gone")


def test_process_kill_takes_the_children_along(program):
    """SIGKILL goes to the whole group."""
    process = program(PARENT).start()
    process.wait_log("child", 10)
    children = set(process.usage()) - {process.pid}
    process.kill()
    until(lambda: all(map(gone, children)), 5, "the children are gone")


def test_process_deaf_to_sigterm_fails_the_test_and_is_killed(program):
    """Nothing that a test starts outlives it."""
    process = program(DEAF).start()
    process.wait_log("deaf", 10)
    with pytest.raises(AssertionError, match="has ended"):
        process.terminate(0.2)
    assert not process.alive


def test_process_that_ends_before_it_is_ready_shows_its_log(program):
    """A failing start says why at once."""
    process = program("import sys; sys.exit('no luck')", ready=lambda: False, ready_timeout=60)
    with pytest.raises(AssertionError, match=r"(?s)ended with 1.*no luck"):
        process.start()


def test_process_started_again_appends_to_its_log(program):
    """`log` is of the life that runs, `whole_log` of all."""
    process = program("print('hello')").start()
    assert process.wait(10) == 0
    process.start()
    assert process.wait(10) == 0
    assert (process.log(), process.whole_log()) == ("hello\n", "hello\nhello\n")


def test_process_paused_stands_still(program):
    """SIGSTOP and SIGCONT reach it and its children."""
    process = program(PARENT).start()
    process.wait_log("child", 10)
    process.pause()
    until(lambda: {state(pid) for pid in process.usage()} == {"T"}, 5, "all stand still")
    process.resume()
    until(lambda: "T" not in {state(pid) for pid in process.usage()}, 5, "all run again")


def test_process_usage_counts_memory_and_time(program):
    """What a program holds and burns is seen."""
    process = program("data = b'x' * 50_000_000\nprint('ready', flush=True)\nwhile True: pass").start()
    process.wait_log("ready", 10)
    assert process.rss() > 50_000_000
    until(lambda: process.cpu() > 0.2, 20, "it has burnt 0.2 s")


def test_ports_are_free_and_never_given_twice():
    """Each port can be bound, a pair is consecutive."""
    ports = [free_port() for _ in range(50)]
    first = free_port_pair()
    assert len({*ports, first, first + 1}) == 52
    with socket.create_server(("127.0.0.1", first + 1)):
        assert listening(first + 1)()
    assert not listening(first)()


def test_until_says_what_did_not_happen():
    """The message names the condition, and how far it came."""
    with pytest.raises(AssertionError, match=r"not within 0 s: it rains"):
        until(lambda: None, 0, "it rains")
    assert until(lambda: 7, 0, "seven") == 7
