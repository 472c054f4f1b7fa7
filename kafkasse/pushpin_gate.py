"""The gate of a starting Pushpin: no request gets in before its processes have found each other.

Pushpin opens the client port first.  A request that comes before the process that holds streams is connected to the one
that forwards requests is answered 500, or is forgotten: an `EventSource` gives up for ever at the one and waits for a
minute at the other.  So the forwarding process is told to take its requests from a socket that does not exist, and
clients simply wait.  When all are connected, a symbolic link makes it exist (docs/adr/0018-requests-wait-for-pushpin.md).
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kafkasse.pushpin_options import IPC_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafkasse.pushpin_options import Version

GATE = IPC_PREFIX + "gate"
UNIX_SOCKETS = Path("/proc/net/unix")
# Its columns, by proc(5): address, references, protocol, flags, type, state (3: connected), inode, path bound to.
CONNECTED = re.compile(r"(?m)^\S+: \w+ \w+ \w+ \w+ 03 +\d+ (.+)$")
INTERVAL = 0.01
# Pushpin needs half a second.  One that has not all it needs by then is better than none.
TIMEOUT = 10.0
# ZeroMQ tries a connection that was refused again within 0.2 s.  For systems that do not tell who is connected.
SETTLED = 0.5


def manager(version: Version) -> str:
    """Return the name of Pushpin's connection manager, with which the names of its sockets begin."""
    return "connmgr" if version >= (1, 40) else "condure"


def meetings(version: Version) -> dict[str, int]:
    """Return which sockets Pushpin's processes meet at before any of them can serve, and how many come to each."""
    clients = manager(version)
    origin = f"{clients}-client" if version >= (1, 38) else "zurl"
    one = ("accept", "inspect", "retry", f"{origin}-in", f"{origin}-in-stream", f"{origin}-out")
    # Answers come from the process that forwards requests and from the one that holds streams.
    both = (f"{clients}-in", f"{clients}-out-stream")
    return {IPC_PREFIX + name: 2 if name in both else 1 for name in (*one, *both)}


def watch(run_dir: Path, version: Version) -> None:
    """Leave a process that opens the gate when Pushpin, which this process is about to become, can serve.

    It is nobody's child: Pushpin would never ask how it ended.
    """
    pushpin = os.getpid()
    if child := os.fork():
        os.waitpid(child, 0)
        return
    try:
        if not os.fork():
            keep(run_dir, version, pushpin)
    finally:
        # Nothing of what the command would do at its end.
        os._exit(0)


def keep(run_dir: Path, version: Version, pushpin: int) -> None:
    """Open the gate when Pushpin can serve, or after `TIMEOUT`; give up when the process `pushpin` has ended."""
    deadline = time.monotonic() + TIMEOUT
    while not met(run_dir, meetings(version)) and time.monotonic() < deadline:
        time.sleep(INTERVAL)
        if not runs(pushpin):
            return
    (run_dir / GATE).symlink_to(f"{IPC_PREFIX}{manager(version)}-out")


def met(run_dir: Path, meetings: Mapping[str, int]) -> bool:
    """Say whether so many are connected to each of these sockets of the run directory."""
    try:
        found = Counter(CONNECTED.findall(UNIX_SOCKETS.read_text(errors="replace")))
    except OSError:
        return settled(run_dir, meetings)
    return all(found[str(run_dir / name)] >= count for name, count in meetings.items())


def settled(run_dir: Path, meetings: Mapping[str, int]) -> bool:
    """Say whether these sockets have existed for so long that everybody is connected."""
    try:
        newest = max((run_dir / name).stat().st_ctime for name in meetings)
    except OSError:
        return False
    return time.time() - newest > SETTLED


def runs(pid: int) -> bool:
    """Say whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
