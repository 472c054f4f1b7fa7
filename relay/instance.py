"""A name for this relay in its consumer group that is the same after a restart.

A static member that comes back within the session's time-out goes on at once, with the partitions it had: measured 0.6 s
after a SIGKILL, where a nameless member waits 6 s and longer for the group to notice that it has gone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS = 1000
"""More relays of one group on one host than anybody runs."""


@contextmanager
def instance_id(group: str, configured: str = "") -> Iterator[str]:
    """Yield `configured`, or the next free slot of this group on this host, held by a lock that dies with the process."""
    if configured:
        yield configured
        return
    for slot in range(SLOTS):
        try:
            descriptor = os.open(_lock_path(group, slot), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except PermissionError:  # somebody else's file
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        try:
            yield f"{socket.gethostname()}-{slot}"
        finally:
            os.close(descriptor)
        return
    raise RuntimeError(f"{SLOTS} relays of this group run on this host; set RELAY_INSTANCE_ID")


def _lock_path(group: str, slot: int) -> Path:
    # Hashed: a group's name may hold any character; and of one user, who may open the file another time.
    name = hashlib.blake2s(group.encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"kafkasse-relay-{os.getuid()}-{name}-{slot}.lock"
