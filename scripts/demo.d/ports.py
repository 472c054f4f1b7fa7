"""Are the demo's ports free?  `ports.py --port=7999 ...` says which one is not, and how to choose another.

It needs nothing but Python, so that a taken port is told before anything is installed.
"""

# ruff: noqa: INP001 - a script
from __future__ import annotations

import argparse
import errno
import socket
import sys

HOST = "127.0.0.1"
HIGHEST = 65_535


def parse() -> argparse.Namespace:
    """Return the options of `scripts/demo`, which are ports but for one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=7999)
    parser.add_argument("--web-port", type=int, default=8000)
    parser.add_argument("--publish-port", type=int, default=5561)
    parser.add_argument("--without-proxy", action="store_true")
    return parser.parse_args()


def wanted(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Return each port with the option that moves it; Pushpin opens the one after the publish port, too."""
    if options.without_proxy:
        return [("--web-port", options.web_port)]
    publish = options.publish_port
    pairs = [("--port", options.port), ("--web-port", options.web_port)]
    return [*pairs, ("--publish-port", publish), ("--publish-port", publish + 1)]


def complaints(ports: list[tuple[str, int]]) -> list[str]:
    """Return a line for each port that cannot be had."""
    found = []
    for place, (option, port) in enumerate(ports):
        if port in [other for _, other in ports[:place]]:
            found.append(f"Port {port} is asked for twice; choose another with {option}.")
        elif reason := why_not(port):
            found.append(f"Port {port} {reason}; choose another with {option}.")
    return found


def why_not(port: int) -> str:
    """Return why a port cannot be listened on, or nothing."""
    if not 0 < port <= HIGHEST:
        return "does not exist"
    with socket.socket() as trial:
        # What the connections of a demo that has just ended leave behind for a minute is no obstacle.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
            trial.listen()
        except OSError as error:
            return (
                "is taken by another program"
                if error.errno == errno.EADDRINUSE
                else f"is not to be had ({error})"
            )
    return ""


if __name__ == "__main__":
    lines = complaints(wanted(parse()))
    sys.exit("\n".join(lines) or 0)
