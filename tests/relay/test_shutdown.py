"""The first signal asks for an end, the second one kills, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from relay.shutdown import stop_on_signal
from tests.harness.environment import PROJECT, clean

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
PROGRAM = """
import time
from relay.shutdown import stop_on_signal
with stop_on_signal() as stop:
    print("ready", flush=True)
    while not stop.is_set():
        time.sleep(0.01)
    print("stopping", flush=True)
    time.sleep(20)
"""

IMPATIENT = """
from relay.shutdown import stop_on_signal
for _ in range(300):
    with stop_on_signal() as stop:
        print("ready", flush=True)
        while not stop.is_set():
            stop.wait(1e-9)
"""
IN_C = """
import ctypes
from relay.shutdown import stop_on_signal
with stop_on_signal() as stop:
    print("ready", flush=True)
    sleep = ctypes.CDLL(None).sleep
    while sleep(20):
        pass
"""


def run(program):
    """Return the arguments for a process with a program of ours."""
    return {
        "args": [sys.executable, "-c", program],
        "cwd": PROJECT,
        "env": clean({"PYTHONPATH": str(PROJECT)}),
        "text": True,
    }


@pytest.fixture
def program():
    """Start a program that is slow to stop."""
    child = subprocess.Popen(
        **run(PROGRAM),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    yield child
    child.kill()
    child.communicate()


@BOTH
def test_first_signal_sets_the_event(number):
    """The process goes on; who looks at the event ends it."""
    with stop_on_signal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@BOTH
def test_second_signal_of_either_kind_kills_without_a_traceback(program, number, second):
    """A stop that hangs can be ended by pressing Ctrl-C again."""
    program.send_signal(number)
    assert program.stdout.readline() == "stopping\n"
    program.send_signal(second)
    assert program.wait(5) in (-second, 128 + second)
    assert program.stderr.read() == ""


@pytest.mark.parametrize("signalled", [False, True])
def test_leaving_restores_the_former_handlers(signalled):
    """Also after a signal came."""

    def mine(_number, _frame):
        """Take the place of whatever was there before."""

    before = {number: signal.signal(number, mine) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with stop_on_signal() as stop:
            if signalled:
                os.kill(os.getpid(), signal.SIGTERM)
                assert stop.wait(5)
        assert [signal.getsignal(number) for number in before] == [mine, mine]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_leaving_by_an_exception_restores_the_former_handlers():
    """Whatever ends the relay."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), stop_on_signal():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


@BOTH
def test_end_that_hangs_is_cut_short_with_success(program, number):
    """Whatever hangs, the process is gone within 5 s, as was asked."""
    program.send_signal(number)
    assert program.wait(5) == 0


def test_signal_at_any_moment_of_a_wait_is_no_deadlock():
    """An event's lock is not reentrant: set by the handler itself, it would wait for the very wait that it interrupts."""
    with subprocess.Popen(**run(IMPATIENT), stdout=subprocess.PIPE) as child:
        watch = threading.Timer(40, child.kill)
        watch.start()
        assert child.stdout
        for number, _ready in enumerate(child.stdout):
            time.sleep(number % 10 / 5000)  # another moment each time
            child.send_signal(signal.SIGTERM)
        watch.cancel()
    assert (number, child.returncode) == (299, 0)


def test_signal_while_a_library_waits_ends_the_process_in_time():
    """Python's handlers run when C returns, and a synchronous commit to a Kafka that hangs does not."""
    with subprocess.Popen(**run(IN_C), stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        try:
            assert child.wait(5) == 0
        finally:
            child.kill()
