"""Each relay on a host has a name of its own, the same after a restart."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

from relay.instance import instance_id
from tests.harness.environment import PROJECT, clean

PROGRAM = """
import sys
from relay.instance import instance_id
with instance_id(sys.argv[1]) as name:
    print(name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def group():
    """Return a group that nobody else has."""
    return f"group {uuid.uuid4()} / ü"


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    """Keep the lock files in a folder of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield tmp_path
    tempfile.tempdir = None


@pytest.fixture
def other(locks):
    """Start processes that claim a slot; each has its name as `.name`."""
    started = []

    def start(group):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, group],
            cwd=PROJECT,
            env=clean({"PYTHONPATH": str(PROJECT), "TMPDIR": str(locks)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        child.name = child.stdout.readline().strip()
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_configured_id_wins_and_claims_nothing(group, locks):
    """RELAY_INSTANCE_ID is used as it is."""
    with instance_id(group, "mine") as one, instance_id(group, "mine") as two:
        assert (one, two) == ("mine", "mine")
    assert list(Path(locks).iterdir()) == []


def test_slot_names_the_host():
    """Relays on different hosts never share a name."""
    with instance_id("g") as name:
        assert name == f"{socket.gethostname()}-0"


def test_slot_after_a_clean_end_is_the_same_again(group):
    """So a restart goes on with the partitions it had."""
    with instance_id(group) as first:
        pass
    with instance_id(group) as second:
        assert second == first


def test_slots_of_two_groups_are_independent(group):
    """A relay of another group takes no slot of this one."""
    with instance_id(group) as one, instance_id(group + "2") as two:
        assert one == two


def test_two_processes_get_different_slots_and_a_kill_frees_one(group, other):
    """The lock dies with its process, however it dies."""
    first, second = other(group), other(group)
    assert {first.name[-2:], second.name[-2:]} == {"-0", "-1"}
    first.kill()
    first.wait()
    with instance_id(group) as name:
        assert name == first.name
        assert other(group).name.endswith("-2")


def test_slot_is_freed_by_an_exception(group):
    """Whatever ends the relay."""
    with pytest.raises(KeyError), instance_id(group) as name:
        raise KeyError
    with instance_id(group) as again:
        assert again == name


def test_lock_files_are_this_users_alone_and_named_without_the_group(group, locks):
    """A group's name may hold any character."""
    with instance_id(group):
        (file,) = Path(locks).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert group not in file.name
