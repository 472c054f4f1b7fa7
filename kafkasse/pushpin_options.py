"""The options of `manage.py pushpin`: what they are without being given, and which ones cannot work."""

from __future__ import annotations

import ipaddress
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kafkasse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Version = tuple[int, int]

PUBLISH_PORT = 5561
MAX_PORT = 65_535
# Distinguishes our sockets from anything else in the run directory; short, because a socket's whole path is limited.
IPC_PREFIX = "ks-"
# Of all the sockets that any version so far makes, the one with the longest name.
LONGEST_SOCKET = IPC_PREFIX + "connmgr-client-in-stream"
# The room for a socket's path in `struct sockaddr_un`, its closing NUL included: unix(7), and unix(4) on macOS.
SUN_PATH = 108 if sys.platform == "linux" else 104
# What neither Qt's ini dialect nor zurl's configuration nor a ZeroMQ address gives another meaning.
SAFE_PATH = re.compile(r"/[A-Za-z0-9 ._/+@~=:-]*")
ORIGIN = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user and the machine decide.

    `key` signs the requests to the origin, empty when nobody checks them.  `open_files` is how many each of Pushpin's
    processes may open at most, and `memory` the machine's, in bytes.  All next links begin with the path `next_links`.
    """

    run_dir: Path
    port: int = 7999
    bind: str = "127.0.0.1"
    origin: str = "127.0.0.1:8000"
    publish_port: int = PUBLISH_PORT
    key: bytes = b""
    issuer: str = ""
    next_links: str = "/next/"
    log_level: int = 1
    channels: int = 1000
    open_files: int = 50_000
    memory: int = 8 << 30

    def __str__(self) -> str:
        """Say in one line what goes where."""
        return (
            f"clients at {self.authority}, publishers at 127.0.0.1:{self.publish_port}, "
            f"origin {self.origin}, files in {self.run_dir}"
        )

    @property
    def authority(self) -> str:
        """The client port with its address."""
        return f"[{self.bind}]:{self.port}" if ":" in self.bind else f"{self.bind}:{self.port}"

    @property
    def listeners(self) -> list[tuple[str, str, int]]:
        """The TCP ports that Pushpin opens: (the option that decides it, address, port)."""
        return [
            ("--port", self.bind, self.port),
            ("--publish-port", "127.0.0.1", self.publish_port),
            ("--publish-port", "127.0.0.1", self.publish_port + 1),
        ]


def dotted(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))


def validate(version: Version, options: Options) -> None:
    """Raise `ConfigurationError` for the first option that Pushpin would misunderstand or choke on."""
    validate_ports(options)
    validate_run_dir(options.run_dir)
    validate_origin(version, options.origin)
    try:
        ipaddress.ip_address(options.bind)
    except ValueError:
        # Pushpin takes a name for "every address".
        raise ConfigurationError(
            "--bind takes an address of this machine. Example: --bind 127.0.0.1"
        ) from None
    if not re.fullmatch(r"[ -~]*", options.issuer):
        raise ConfigurationError(
            "The iss of GRIP_URL has characters that are not ASCII, which Pushpin cannot sign."
        )


def validate_ports(options: Options) -> None:
    """Refuse ports that do not exist; the publish port's next one has to exist, too."""
    if not 0 < options.port <= MAX_PORT:
        raise ConfigurationError("--port is not a port. Example: --port 7999")
    if not 0 < options.publish_port < MAX_PORT:
        raise ConfigurationError(
            f"--publish-port is not a port below {MAX_PORT}. Example: --publish-port 5561"
        )
    if options.port in (options.publish_port, options.publish_port + 1):
        raise ConfigurationError(
            "--port is the publish port or the one after it; choose another with --port."
        )


def validate_run_dir(run_dir: Path) -> None:
    """Refuse a run directory whose sockets could not be named."""
    if not SAFE_PATH.fullmatch(str(run_dir)):
        allowed = "ASCII letters, digits, spaces and ._/+@~=:-"
        raise ConfigurationError(
            f"The run directory's name may only have {allowed}; choose another with --run-dir."
        )
    # One for the slash, one for the NUL.
    room = SUN_PATH - len(LONGEST_SOCKET) - 2
    if len(str(run_dir)) > room:
        raise ConfigurationError(
            f"The run directory's name is too long for unix sockets: {len(str(run_dir))} characters, {room} are possible; "
            f"choose a shorter one with --run-dir. It is {run_dir}"
        )


def validate_origin(version: Version, origin: str) -> None:
    """Refuse an origin that is not `host:port`; Pushpin would route to a wrong place, or to none."""
    match = ORIGIN.fullmatch(origin)
    if match is None or not 0 < int(match["port"]) <= MAX_PORT:
        raise ConfigurationError("--origin is not host:port. Example: --origin 127.0.0.1:8000")
    if match["host"].startswith("[") and version < (1, 41):
        raise ConfigurationError(
            f"Pushpin {dotted(version)} knows no IPv6 origins (1.41 does); use a name or IPv4."
        )


def default_publish_port(proxies: Sequence[dict[str, Any]]) -> int:
    """Return the publish port that the application uses on this machine, where it names one."""
    return next((port for proxy in proxies if (port := loopback_port(proxy))), PUBLISH_PORT)


def signing(proxies: Sequence[dict[str, Any]], publish_port: int) -> tuple[bytes, str]:
    """Return the key and its issuer for the instance at `publish_port`; where none is there, those of the first one."""
    ours = [proxy for proxy in proxies if loopback_port(proxy) == publish_port] or list(proxies)
    if not ours:
        return b"", ""
    # Where both are given, the application checks signatures with the first, and publishes with the second.
    key = ours[0].get("verify_key") or ours[0].get("key") or b""
    issuer = ours[0].get("verify_iss") or ours[0].get("control_iss") or ""
    return key.encode() if isinstance(key, str) else key, issuer


def loopback_port(proxy: dict[str, Any]) -> int | None:
    """Return the port of a proxy's publish address when it is on this machine."""
    url = urlsplit(proxy.get("control_uri") or "")
    host = url.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    return url.port if here else None
