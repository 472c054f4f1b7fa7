"""Free TCP ports on this machine.

The system's own choice (bind to port 0) lies in the range from which outgoing connections take theirs.  A server that
is stopped and started again would then now and then find its port taken, and a client that keeps trying a closed port
of that range can even connect to itself.  So these ports lie below the range; the system is asked about each.
"""

import random
import socket
from pathlib import Path

LOWEST = 15_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_chooser = random.SystemRandom()  # pytest-randomly seeds the common one: two runs would try the same ports
_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on and that was not given to anyone in this process."""
    return _free_run(1)


def free_port_pair() -> int:
    """Return the first of two consecutive free ports: Pushpin's publish port and its news of subscriptions."""
    return _free_run(2)


def _free_run(length: int) -> int:
    for _ in range(1000):
        first = _chooser.randrange(LOWEST, _first_ephemeral() - length)
        ports = range(first, first + length)
        if _given.isdisjoint(ports) and all(map(_is_free, ports)):
            _given.update(ports)
            return first
    raise RuntimeError("no free port found")


def _first_ephemeral() -> int:
    try:
        lowest = int(EPHEMERAL.read_text().split()[0])
    except OSError:  # not Linux
        lowest = 32_768
    return lowest if lowest > LOWEST + 1000 else 60_000


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("", port))
        except OSError:
            return False
        return True
