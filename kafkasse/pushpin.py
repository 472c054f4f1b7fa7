"""The configuration with which `manage.py pushpin` starts Pushpin.

A stock Pushpin drops silently beyond 2,500 deliveries/s, cuts a connection's channels at 20, opens four TCP ports and,
as Debian packages it, sends requests through a system-wide zurl.  This module writes the configuration that does none
of that, in the dialect of the version installed.
"""

from __future__ import annotations

import base64
import re

from kafkasse import pushpin_gate
from kafkasse.exceptions import ConfigurationError
from kafkasse.pushpin_options import IPC_PREFIX, Options, Version, dotted, validate

OLDEST: Version = (1, 36)
# As many as a stock instance takes.
MOST_CLIENTS = 50_000

# For a minute Pushpin keeps a record of each connection that it has put on hold, and at twice `client_maxconn` records
# it aborts.  Nobody reads them here.
NO_RECORDS = {"global": "stats_connection_send=false\n"}
NO_RECORDS_BEFORE_1_37 = {"proxy": "stats_spec=\n", "handler": "proxy_stats_spec=\n"}

# Since 1.38 Pushpin's connection manager also makes the requests to the origin, which was zurl's part before.
ZURL = """\
# The packaged default is the system-wide zurl, which may not run, or not let us in: this one is ours.
zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out
"""

# The words in braces are Pushpin's own variables.
CONFIGURATION = """\
# Written by "manage.py pushpin" for Pushpin %(version)s; the next start writes it again.
[global]
include=internal.conf
rundir=%(run_dir)s
ipc_prefix=%(ipc_prefix)s
port_offset=0
%(global_records)s
[runner]
services=%(services)s
http_port=%(http_port)s
# Levels: 0 errors, 1 warnings, 2 a line for each request, 3 debug.
log_level=%(log_level)d,runner:2
# Pushpin passes a client no more than this at once.  With its default of 8,192 bytes a client gets less than half;
# and while the handler is busy, one that catches up gets less than is written meanwhile, and never does.
client_buffer_size=262144
client_maxconn=%(max_clients)d

[proxy]
routesfile=routes
debug=false
auto_cross_origin=false
# Beyond a hundred that wait to be passed on it answers 500 or 502; so more than these stay with the connection manager,
# where they wait.
max_open_requests=90
accept_x_forwarded_protocol=false
set_x_forwarded_protocol=proto-only
# Each request to the origin carries a Grip-Sig made with these.
sig_iss=%(issuer)s
sig_key=%(key)s
updates_check=off
# Nothing is there until all of Pushpin's processes are connected; until then requests wait (kafkasse/pushpin_gate.py).
%(manager)s_in_specs=ipc://{rundir}/%(gate)s
%(proxy_records)s%(zurl)s
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port=%(publish_port)d
push_in_http_max_headers_size=10000
# Up to 1.40 the limit was read under the first of these names, and since then under the second one.
push_in_max_body_size=1000000
push_in_http_max_body_size=1000000
push_in_sub_specs=tcp://127.0.0.1:%(sub_port)d
push_in_sub_connect=false
push_in_spec=ipc://{rundir}/{ipc_prefix}push
command_spec=ipc://{rundir}/{ipc_prefix}command
stats_spec=ipc://{rundir}/{ipc_prefix}stats
# 0: no limit.  Both count deliveries of the whole instance; beyond them items are dropped in silence.
message_rate=0
message_hwm=0
# An item whose predecessor is missing goes out at the next tick (1 s): the clients read what is missing from the log.
message_wait=0
# For so many seconds a repeated item is dropped: longer than the relay tries one publish, shorter than it reminds.
id_cache_ttl=10
connection_subscription_max=%(channels)d
subscription_linger=60
stats_subscription_ttl=60
stats_report_interval=10
stats_format=tnetstring
%(handler_records)s"""

# The second target answers when nobody listens at the first one, with 404: a next link that fails with an answer is tried
# again, one that fails without can leave its clients without events for ever (docs/adr/0012-next-links-have-a-route.md).
ROUTES = """\
*,id=app,path_beg=%(next_links)s %(origin)s test
*,id=app %(origin)s
"""


def parsed_version(said: str, path: str = "pushpin") -> Version:
    """Return the version in `said`, the answer of `pushpin --version`."""
    match = re.match(r"pushpin (\d+)\.(\d+)", said)
    if match is None:
        raise ConfigurationError(f"{path} --version names no version of Pushpin; is it another program?")
    version = int(match[1]), int(match[2])
    if version < OLDEST:
        raise ConfigurationError(f"{path} is Pushpin {dotted(version)}; {dotted(OLDEST)} or newer is needed.")
    return version


def files(version: Version, options: Options) -> dict[str, str]:
    """Return the files of the run directory, by name; raise `ConfigurationError` for options that cannot work."""
    validate(version, options)
    routes = ROUTES % {"next_links": options.next_links, "origin": options.origin}
    return {"pushpin.conf": configuration(version, options), "routes": routes}


def configuration(version: Version, options: Options) -> str:
    """Return the text of `pushpin.conf`, in Qt's ini dialect."""
    records = NO_RECORDS if version >= (1, 37) else NO_RECORDS_BEFORE_1_37
    return CONFIGURATION % {
        "version": dotted(version),
        "run_dir": options.run_dir,
        "ipc_prefix": IPC_PREFIX,
        "services": services(version),
        "http_port": options.authority,
        "log_level": options.log_level,
        "channels": options.channels,
        "max_clients": max_clients(version, options),
        "issuer": quoted(options.issuer or "pushpin"),
        "key": encoded(options.key),
        "manager": pushpin_gate.manager(version),
        "gate": pushpin_gate.GATE,
        "zurl": ZURL if "zurl" in services(version) else "",
        **{f"{section}_records": records.get(section, "") for section in ("global", "proxy", "handler")},
        "publish_port": options.publish_port,
        "sub_port": options.publish_port + 1,
    }


def services(version: Version) -> str:
    """Return the processes that Pushpin is made of, under the names that this version knows."""
    if version >= (1, 40):
        return "connmgr,proxy,handler"
    if version >= (1, 38):
        return "condure,pushpin-proxy,pushpin-handler"
    return "condure,zurl,pushpin-proxy,pushpin-handler"


def max_clients(version: Version, options: Options) -> int:
    """Return how many clients Pushpin shall have room for, as far as the machine's memory allows.

    When it starts, Pushpin reserves room for every channel of every client in few pieces, and a system refuses a piece
    that is bigger than its memory; next to nothing of it is ever touched.
    """
    reserved = max(options.channels, 1) * (450 if version >= (1, 41) else 80)
    return min(MOST_CLIENTS, options.memory * 3 // 4 // reserved)


def file_limit(version: Version, options: Options) -> int:
    """Return how many files each process of Pushpin shall be allowed to open: no more than `client_maxconn`.

    At that many clients the process that has them panics, in 1.36 as in 1.41, and all is over; without a file for the
    next one it lets that one wait, or answers 502, and goes on.
    """
    return min(options.open_files, max_clients(version, options))


def encoded(key: bytes) -> str:
    """Return a signing key in the form that has no special characters; without one, Pushpin's own default.

    Unsigned would be wrong: the signature's presence tells the application that a proxy is in front.
    """
    return "base64:" + base64.b64encode(key).decode() if key else "changeme"


def quoted(text: str) -> str:
    """Return `text` as one value of Qt's ini dialect, in which a bare comma makes a list."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def masked(text: str) -> str:
    """Return a configuration without its key."""
    return re.sub(r"(?m)^sig_key=base64:.*$", "sig_key=(the key of GRIP_URL)", text)
