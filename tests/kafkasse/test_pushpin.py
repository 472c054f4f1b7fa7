"""The configuration that `manage.py pushpin` writes, and what stands in the way of starting with it."""

from __future__ import annotations

import configparser
import io
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from kafkasse import pushpin, pushpin_gate, pushpin_launch, pushpin_options
from kafkasse.exceptions import ConfigurationError

VERSIONS = [(1, 36), (1, 37), (1, 38), (1, 39), (1, 40), (1, 41), (2, 0)]
BEFORE_1_38 = "condure,zurl,pushpin-proxy,pushpin-handler"
BEFORE_1_40 = "condure,pushpin-proxy,pushpin-handler"
SINCE_1_40 = "connmgr,proxy,handler"


def options(**changes):
    """Return options with a usable run directory."""
    return pushpin_options.Options(**{"run_dir": Path("/tmp/run"), **changes})


def parsed(version=(1, 36), **changes):
    """Return the configuration of a version as another ini parser reads it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(pushpin.files(version, options(**changes))["pushpin.conf"])
    return parser


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make a program that answers `--version` the only one on the PATH."""

    def put(answer, name="pushpin"):
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        script = programs / name
        script.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{answer}\nEND\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(programs))

    return put


@pytest.fixture
def start():
    """Start a process that waits, with the arguments given; it is ended with the test."""
    started = []

    def run(*arguments):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", "print(flush=True); input()", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        started[-1].stdout.readline()
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


# --- The configuration --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "services"),
    [
        ((1, 36), BEFORE_1_38),
        ((1, 37), BEFORE_1_38),
        ((1, 38), BEFORE_1_40),
        ((1, 39), BEFORE_1_40),
        ((1, 40), SINCE_1_40),
        ((1, 41), SINCE_1_40),
    ],
)
def test_configuration_of_a_version_names_the_services_it_knows(version, services):
    """Pushpin ignores services whose names it does not know."""
    assert parsed(version)["runner"]["services"] == services


@pytest.mark.parametrize("version", VERSIONS)
def test_configuration_points_to_its_own_zurl_exactly_where_it_starts_one(version):
    """The packaged default is a system-wide zurl."""
    text = pushpin.configuration(version, options())
    assert ("zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in\n" in text) == (version < (1, 38))


@pytest.mark.parametrize("version", VERSIONS)
def test_configuration_of_every_version_lifts_the_limits(version):
    """Beyond its stock limits Pushpin drops in silence."""
    handler = parsed(version)["handler"]
    assert (handler["message_rate"], handler["message_hwm"]) == ("0", "0")
    assert handler["connection_subscription_max"] == "1000"
    assert handler["push_in_max_body_size"] == handler["push_in_http_max_body_size"] == "1000000"


@pytest.mark.parametrize("version", VERSIONS)
def test_configuration_of_every_version_reports_nothing_to_anyone(version):
    """Upstream, a report to its developers is on."""
    assert parsed(version)["proxy"]["updates_check"] == "off"


@pytest.mark.parametrize(
    ("version", "limits", "clients"),
    [
        ((1, 36), {}, 50_000),
        ((1, 36), {"memory": 1 << 30}, 10_066),
        ((1, 40), {"memory": 1 << 30}, 10_066),
        ((1, 41), {"memory": 1 << 30}, 1789),
        ((1, 41), {"memory": 1 << 30, "channels": 20}, 50_000),
    ],
)
def test_max_clients_is_what_the_machine_carries(version, limits, clients):
    """A reservation beyond its memory would be refused."""
    assert pushpin.max_clients(version, options(**limits)) == clients
    assert parsed(version, **limits)["runner"]["client_maxconn"] == str(clients)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("limits", [{}, {"open_files": 1000}, {"memory": 1 << 30}, {"channels": 20}])
def test_file_limit_comes_before_the_limit_of_clients(version, limits):
    """Pushpin panics at the latter; it needs files for other things, too, so that they run out before."""
    plan = options(**limits)
    assert pushpin.file_limit(version, plan) <= pushpin.max_clients(version, plan)
    assert pushpin.file_limit(version, plan) <= plan.open_files


@pytest.mark.parametrize("version", VERSIONS)
def test_configuration_of_every_version_keeps_no_records_of_connections(version):
    """Pushpin aborts when it has put twice `client_maxconn` clients on hold within a minute, and records them."""
    found = parsed(version)
    if version == (1, 36):
        assert found["proxy"]["stats_spec"] == found["handler"]["proxy_stats_spec"] == ""
    else:
        assert found["global"]["stats_connection_send"] == "false"
        assert "stats_spec" not in found["proxy"]


def test_configuration_allows_as_many_channels_as_the_application_uses():
    """Pushpin cuts off further ones in silence."""
    assert parsed(channels=64)["handler"]["connection_subscription_max"] == "64"


def test_configuration_opens_the_client_port_where_it_is_told():
    """IPv6 addresses stand in brackets."""
    assert parsed(port=8080, bind="0.0.0.0")["runner"]["http_port"] == "0.0.0.0:8080"
    assert parsed(port=8080, bind="::1")["runner"]["http_port"] == "[::1]:8080"


def test_configuration_publishes_on_loopback_and_keeps_all_else_in_the_run_directory():
    """What has no authentication is not for the network."""
    handler = parsed(publish_port=6000)["handler"]
    assert (handler["push_in_http_addr"], handler["push_in_http_port"]) == ("127.0.0.1", "6000")
    specs = {name: value for name, value in handler.items() if value and name.endswith(("_spec", "_specs"))}
    assert specs.pop("push_in_sub_specs") == "tcp://127.0.0.1:6001"
    # These three are TCP ports in Pushpin's own configuration.
    assert {"push_in_spec", "command_spec", "stats_spec"} == set(specs)
    assert all(value.startswith("ipc://{rundir}/{ipc_prefix}") for value in specs.values())


def test_files_route_everything_to_the_origin_and_answer_next_links_in_its_absence():
    """For any host; a client's own request is still answered with 502 then."""
    assert pushpin.files((1, 36), options(origin="localhost:9000", next_links="/a/next/"))["routes"] == (
        "*,id=app,path_beg=/a/next/ localhost:9000 test\n*,id=app localhost:9000\n"
    )


def test_configuration_with_a_key_signs_with_it():
    """Any bytes can be a key."""
    proxy = parsed(key=b"\x00\xff,;", issuer="me")["proxy"]
    assert proxy["sig_key"] == "base64:AP8sOw=="
    assert proxy["sig_iss"] == '"me"'


def test_configuration_without_a_key_signs_with_the_default_one():
    """A request without a signature would look unproxied."""
    proxy = parsed()["proxy"]
    assert (proxy["sig_key"], proxy["sig_iss"]) == ("changeme", '"pushpin"')


def test_configuration_quotes_what_would_end_the_issuer():
    """A bare comma makes a list of it."""
    assert parsed(issuer='a", b\\')["proxy"]["sig_iss"] == '"a\\", b\\\\"'


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"port": 0}, "--port"),
        ({"port": 65536}, "--port"),
        ({"publish_port": 0}, "--publish-port"),
        ({"publish_port": 65535}, "--publish-port"),
        ({"port": 6000, "publish_port": 6000}, "--port"),
        ({"port": 6001, "publish_port": 6000}, "--port"),
        ({"bind": "localhost"}, "--bind"),
        ({"bind": ""}, "--bind"),
        ({"origin": "localhost"}, "--origin"),
        ({"origin": "localhost:0"}, "--origin"),
        ({"origin": "localhost:65536"}, "--origin"),
        ({"origin": "http://localhost:8000"}, "--origin"),
        ({"origin": "localhost:8000,ssl"}, "--origin"),
        ({"origin": "localhost:8000\n* evil:1"}, "--origin"),
        ({"run_dir": Path("/tmp/a,b")}, "--run-dir"),
        ({"run_dir": Path("/tmp/é")}, "--run-dir"),
        ({"run_dir": Path("/tmp/a\nb")}, "--run-dir"),
        ({"issuer": "é"}, "GRIP_URL"),
    ],
)
def test_files_of_options_that_cannot_work_are_refused_in_one_line_naming_the_option(changes, named):
    """Pushpin would take most of these, and mean something else."""
    with pytest.raises(ConfigurationError) as refused:
        pushpin.files((1, 36), options(**changes))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_with_an_ipv6_origin_need_a_version_that_knows_them():
    """Before 1.41 a route takes names and IPv4 only."""
    assert pushpin.files((1, 41), options(origin="[::1]:8000"))["routes"].endswith("*,id=app [::1]:8000\n")
    with pytest.raises(ConfigurationError, match="IPv6"):
        pushpin.files((1, 40), options(origin="[::1]:8000"))


def test_files_accept_exactly_the_run_directories_whose_sockets_the_system_can_make(tmp_path):
    """The system itself is the oracle."""
    room = pushpin_options.SUN_PATH - 2 - len(pushpin_options.LONGEST_SOCKET)
    longest = tmp_path / ("x" * (room - len(str(tmp_path)) - 1))
    longest.mkdir()
    assert pushpin.files((1, 36), options(run_dir=longest))
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(longest / pushpin_options.LONGEST_SOCKET))

    with pytest.raises(ConfigurationError, match=r"too long for unix sockets.*--run-dir"):
        pushpin.files((1, 36), options(run_dir=Path(f"{longest}x")))
    with socket.socket(socket.AF_UNIX) as end, pytest.raises(OSError, match="too long"):
        end.bind(str(longest / f"x{pushpin_options.LONGEST_SOCKET}"))


# --- What GRIP_URL decides ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urls", "port"),
    [
        ([], 5561),
        (["http://localhost:6000"], 6000),
        (["http://127.0.0.1:6000/"], 6000),
        (["http://[::1]:6000"], 6000),
        (["http://localhost"], 5561),
        (["https://api.fastly.com:443/service/x"], 5561),
        (["http://pushpin:6000"], 5561),
        (["https://api.fastly.com/service/x", "http://localhost:6000"], 6000),
    ],
)
def test_default_publish_port_is_that_of_the_first_proxy_on_this_machine(urls, port):
    """A proxy elsewhere says nothing about this one."""
    assert pushpin_options.default_publish_port([{"control_uri": url} for url in urls]) == port


def test_signing_uses_the_key_of_the_proxy_at_the_publish_port():
    """Several instances may have a key each."""
    proxies = [
        {"control_uri": "http://localhost:6000", "control_iss": "one", "key": "first"},
        {"control_uri": "http://localhost:7000", "control_iss": "two", "key": b"\xff"},
    ]
    assert pushpin_options.signing(proxies, 7000) == (b"\xff", "two")
    assert pushpin_options.signing(proxies, 6000) == (b"first", "one")
    assert pushpin_options.signing(proxies, 8000) == (b"first", "one")


def test_signing_uses_what_the_application_checks_signatures_with():
    """A GRIP URL may have a key for that alone."""
    proxy = {
        "control_uri": "http://localhost:5561",
        "control_iss": "a",
        "key": "b",
        "verify_iss": "c",
        "verify_key": "d",
    }
    assert pushpin_options.signing([proxy], 5561) == (b"d", "c")


def test_signing_without_keys_is_empty():
    """No proxy or no key: nobody checks signatures."""
    assert pushpin_options.signing([], 5561) == (b"", "")
    assert pushpin_options.signing([{"control_uri": "http://localhost:5561"}], 5561) == (b"", "")


# --- The program --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "version"),
    [("pushpin 1.36.0\n", (1, 36)), ("pushpin 1.41.0-dev\n", (1, 41)), ("pushpin 2.0\n", (2, 0))],
)
def test_parsed_version_returns_the_first_two_numbers(said, version):
    """The dialects differ by these."""
    assert pushpin.parsed_version(said) == version


@pytest.mark.parametrize(
    ("said", "complaint"),
    [("pushpin 1.35.0", "1.36 or newer"), ("usage: x", "no version"), ("", "no version")],
)
def test_parsed_version_refuses_old_and_foreign_programs(said, complaint):
    """Other programs may be called pushpin."""
    with pytest.raises(ConfigurationError, match=complaint):
        pushpin.parsed_version(said)


def test_find_returns_path_and_version(install, tmp_path):
    """The path is what gets executed."""
    install("pushpin 1.41.0")
    assert pushpin_launch.find() == pushpin_launch.Program(str(tmp_path / "bin" / "pushpin"), (1, 41))


def test_find_without_pushpin_says_how_to_install_it_everywhere(tmp_path, monkeypatch):
    """One line, three ways."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError) as missing:
        pushpin_launch.find()
    line = str(missing.value)
    assert "\n" not in line
    assert all(way in line for way in ("apt-get install pushpin", "brew install pushpin", "fanout/pushpin"))


def test_find_of_a_program_that_does_not_run_says_which(tmp_path, monkeypatch):
    """No traceback for a broken installation."""
    (tmp_path / "pushpin").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "pushpin").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        pushpin_launch.find()


# --- The command --------------------------------------------------------------------------------------------------


def test_command_print_shows_the_configuration_without_the_key_and_writes_nothing(
    install, tmp_path, settings
):
    """The options, completed from GRIP_URL."""
    install("pushpin 1.41.0")
    settings.GRIP_PROXIES = [{"control_uri": "http://localhost:6000", "control_iss": "me", "key": "s3cret"}]
    shown = io.StringIO()
    call_command("pushpin", "--print", f"--run-dir={tmp_path / 'run'}", "--bind=[::1]", stdout=shown)
    text = shown.getvalue()
    assert not (tmp_path / "run").exists()
    assert "http_port=[::1]:7999" in text
    assert "push_in_http_port=6000" in text
    assert 'sig_iss="me"' in text
    assert "*,id=app 127.0.0.1:8000" in text
    assert "s3cret" not in text
    assert pushpin.encoded(b"s3cret").removeprefix("base64:") not in text


def test_command_verbosity_is_the_log_level(install, tmp_path, settings):
    """And an explicit publish port wins over GRIP_URL."""
    install("pushpin 1.41.0")
    settings.GRIP_PROXIES = []
    shown = io.StringIO()
    call_command(
        "pushpin", "--print", f"--run-dir={tmp_path}", "--publish-port=7000", verbosity=2, stdout=shown
    )
    assert "\nlog_level=2,runner:2\n" in shown.getvalue()
    assert "\npush_in_http_port=7000\n" in shown.getvalue()


def test_command_that_cannot_start_fails_with_the_reason(tmp_path, monkeypatch):
    """As a CommandError, which prints as one line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="not installed"):
        call_command("pushpin")


def test_open_files_is_as_many_as_this_process_may_open():
    """Raising the soft limit to it is allowed to anyone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft <= pushpin_launch.open_files() or soft == resource.RLIM_INFINITY
    assert pushpin_launch.open_files() <= hard or hard == resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert pushpin_launch.open_files() == min(
            pushpin_launch.OPEN_FILES, hard if hard != resource.RLIM_INFINITY else pushpin_launch.OPEN_FILES
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- The run directory --------------------------------------------------------------------------------------------


def test_chosen_run_directory_is_absolute(tmp_path, monkeypatch):
    """Pushpin resolves relative names in its own way."""
    monkeypatch.chdir(tmp_path)
    assert pushpin_launch.chosen("a/../b", 7999) == tmp_path / "b"


def test_chosen_by_default_differs_by_user_and_port_and_prefers_the_runtime_directory(tmp_path, monkeypatch):
    """A runtime directory that is not there is passed over."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert pushpin_launch.chosen(None, 7999) == tmp_path / f"kafkasse-{os.getuid()}-7999"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert pushpin_launch.chosen(None, 7999).parent != tmp_path / "missing"


def test_make_creates_a_directory_for_this_user_alone(tmp_path):
    """Parents included; twice is fine."""
    run_dir = tmp_path / "a" / "b"
    pushpin_launch.make(run_dir)
    pushpin_launch.make(run_dir)
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700


def test_make_refuses_a_directory_others_may_write_to(tmp_path):
    """They could put their own sockets there."""
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigurationError, match="--run-dir"):
        pushpin_launch.make(tmp_path)


def test_make_refuses_what_is_not_a_directory(tmp_path):
    """A link in a shared folder may be anybody's."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(ConfigurationError, match="--run-dir"):
            pushpin_launch.make(tmp_path / name)


def test_make_refuses_a_directory_of_another_user(tmp_path):
    """Its name in a shared folder can be guessed."""
    theirs = Path("/")
    if os.getuid() == 0:
        theirs = tmp_path
        os.chown(theirs, 12345, 12345)
    with pytest.raises(ConfigurationError, match="another user"):
        pushpin_launch.make(theirs)


def test_prepare_removes_the_files_of_a_killed_instance_and_nothing_else(tmp_path):
    """The directory may be one with other things in it."""
    stale = tmp_path / f"{pushpin_options.IPC_PREFIX}accept"
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(stale))
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(tmp_path / "foreign"))
    for name in ("condure.pid", "notes", f"{pushpin_options.IPC_PREFIX}notes"):
        (tmp_path / name).touch()
    (tmp_path / pushpin_gate.GATE).symlink_to("vanished")
    assert not pushpin_launch.prepare(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "foreign",
        "notes",
        f"{pushpin_options.IPC_PREFIX}notes",
    }


def test_prepare_ends_the_processes_of_a_killed_instance_and_no_others(tmp_path, start):
    """They are known by the arguments that Pushpin gives them."""
    run_dir = tmp_path / "run"
    left = [
        start(f"--config={run_dir}/pushpin.conf", "--ipc-prefix=ks-"),
        start(f"--config={run_dir}/zurl.conf"),
        start(f"--zclient-stream=ipc://{run_dir}/{pushpin_options.IPC_PREFIX}condure"),
    ]
    others = [
        start(f"--config={run_dir}2/pushpin.conf"),
        start(f"{run_dir}/pushpin.conf"),
        start("--run-dir", f"{run_dir}"),
    ]
    assert pushpin_launch.prepare(run_dir)
    assert [process.wait(5) for process in left] == [-9, -9, -9]
    assert [process.poll() for process in others] == [None, None, None]


def test_prepare_refuses_the_directory_of_a_running_instance(tmp_path, start):
    """It and its children go on undisturbed."""
    running = start(*pushpin_launch.command("pushpin", tmp_path)[1:])
    child = start(f"--config={tmp_path}/zurl.conf")
    (tmp_path / "zurl.pid").touch()
    with pytest.raises(ConfigurationError, match=f"process {running.pid};"):
        pushpin_launch.prepare(tmp_path)
    assert running.poll() is child.poll() is None
    assert (tmp_path / "zurl.pid").exists()


def test_listed_reads_ps_where_there_is_no_proc(install):
    """As on macOS."""
    install("  12   501 /bin/condure --config=/a b/zurl.conf\n 1  0 init\n", name="ps")
    assert list(pushpin_launch.listed(501)) == [(12, "/bin/condure --config=/a b/zurl.conf")]


def test_write_makes_files_that_only_this_user_can_read(tmp_path):
    """Also where one was readable for others before."""
    (tmp_path / "pushpin.conf").write_text("old")
    (tmp_path / "pushpin.conf").chmod(0o644)
    pushpin_launch.write(tmp_path, {"pushpin.conf": "new"})
    assert (tmp_path / "pushpin.conf").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "pushpin.conf").stat().st_mode) == 0o600


@pytest.mark.parametrize("index", [0, 1, 2])
def test_require_free_names_the_port_that_is_taken_and_its_option(index):
    """Any of the three ports."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listeners = [
            ("--port", "127.0.0.1", 0),
            ("--publish-port", "127.0.0.1", 0),
            ("--publish-port", "127.0.0.1", 0),
        ]
        option = listeners[index][0]
        listeners[index] = (option, "127.0.0.1", port)
        with pytest.raises(ConfigurationError, match=rf"Port {port} on 127\.0\.0\.1 is taken.* {option}\."):
            pushpin_launch.require_free(listeners)
    pushpin_launch.require_free(listeners)


def test_require_free_waits_for_a_port_that_is_about_to_be_closed():
    """As those of an ended process are."""
    taken = socket.create_server(("127.0.0.1", 0))
    listeners = [("--port", "127.0.0.1", taken.getsockname()[1])]
    closing = threading.Timer(0.2, taken.close)
    closing.start()
    pushpin_launch.require_free(listeners, patience=10)
    closing.join()


def test_require_free_of_an_address_that_is_not_ours_points_to_bind():
    """Another port would not help."""
    with pytest.raises(ConfigurationError, match="--bind"):
        pushpin_launch.require_free([("--port", "203.0.113.1", 0)])
