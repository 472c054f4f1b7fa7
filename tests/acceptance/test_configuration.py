"""Every command refuses a configuration it cannot work with: in one line that helps, without the value, and soon."""

import json
import re
import subprocess

import pytest

from tests.fakes import quickest_of
from tests.harness.environment import PROJECT, clean, manage
from tests.harness.ports import free_port
from tests.harness.stack import SECRET_KEY

pytestmark = pytest.mark.acceptance

PATIENCE = 2.0
LONGEST = 20.0  # seconds, for a command that should have ended and did not
SECRET = "s3cr3t-that-nobody-may-see"
KAFKA = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}
GOOD = {
    "KAFKA_CONSUMER_CONFIG": json.dumps(KAFKA),
    "GRIP_URL": "http://127.0.0.1:1",
    "SECRET_KEY": SECRET_KEY,
}
EXAMPLES = {
    "KAFKA_CONSUMER_CONFIG": 'KAFKA_CONSUMER_CONFIG={"bootstrap.servers": "localhost:9092", "group.id": "mygroup"}',
    "GRIP_URL": "GRIP_URL=http://localhost:5561",
    "SECRET_KEY": "SECRET_KEY=",
    "LOG_LEVEL": "LOG_LEVEL=INFO",
    "RELAY_PUBLISH_TIMEOUT": "RELAY_PUBLISH_TIMEOUT=",
    "KAFKASSE_READERS": "KAFKASSE_READERS=",
    "KAFKASSE_TOPIC_PATTERN": "KAFKASSE_TOPIC_PATTERN=",
}
COMMANDS = {
    "check": ["check"],
    "runserver": ["runserver", "--noreload", "0"],
    "relay": ["relay"],
    "pushpin": ["pushpin", "--print"],
}
BAD = [
    ("KAFKA_CONSUMER_CONFIG", None),
    ("KAFKA_CONSUMER_CONFIG", ""),
    ("KAFKA_CONSUMER_CONFIG", f"{{bootstrap.servers: {SECRET}}}"),
    ("KAFKA_CONSUMER_CONFIG", json.dumps([KAFKA, SECRET])),
    ("KAFKA_CONSUMER_CONFIG", json.dumps({"bootstrap.servers": "b:1", "sasl.password": SECRET})),
    ("KAFKA_CONSUMER_CONFIG", json.dumps({"group.id": "g", "sasl.password": SECRET})),
    ("GRIP_URL", None),
    ("GRIP_URL", f"ftp://localhost:5561?key={SECRET}"),
    ("GRIP_URL", f"http://?iss=i&key={SECRET}"),
    ("GRIP_URL", f"http://:5561?key={SECRET}"),
    ("GRIP_URL", SECRET),
    ("SECRET_KEY", None),
    ("SECRET_KEY", ""),
    ("LOG_LEVEL", SECRET),
    ("RELAY_PUBLISH_TIMEOUT", SECRET),
]
# What Django's checks find, in their own frame.
CHECKED = [
    ("KAFKA_CONSUMER_CONFIG", json.dumps({**KAFKA, "no.such": SECRET})),
    ("KAFKA_CONSUMER_CONFIG", json.dumps({**KAFKA, "fetch.min.bytes": SECRET})),
    ("RELAY_PUBLISH_TIMEOUT", "0"),
    ("KAFKASSE_READERS", "0"),
    ("KAFKASSE_TOPIC_PATTERN", "("),
]
# The settings are read in one place: the whole list is for one command, the first and last of each variable for all.
FEW = [case for place, case in enumerate(BAD) if place in (0, 5, 6, 9, 11)]
CASES = [(command, *case) for command in COMMANDS for case in (BAD if command == "check" else FEW)]
# Each variable with each command, and each check.
MISSING = [(command, name, None) for command in COMMANDS for name in GOOD]
TIMED = [*MISSING, *(("relay", *case) for case in CHECKED)]


def run(arguments, variables):
    """Run a management command; return how it ended."""
    environment = clean({name: value for name, value in variables.items() if value is not None})
    return subprocess.run(
        manage(*arguments),
        env=environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


@pytest.mark.parametrize(("command", "name", "value"), CASES)
def test_bad_configuration_ends_the_command_in_one_line(command, name, value):
    """Non-zero, one line on stderr that names the variable and shows a right value, and no secret."""
    done = run(COMMANDS[command], {**GOOD, name: value})
    case = f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode > 0, case
    assert len(done.stderr.splitlines()) == 1, case
    assert name in done.stderr, case
    assert EXAMPLES[name] in done.stderr, case
    assert SECRET not in done.stdout + done.stderr, case
    assert not done.stdout, case


@pytest.mark.parametrize(("name", "value"), CHECKED)
def test_configuration_that_a_check_refuses_ends_the_relay(name, value):
    """In Django's frame: the line that names the variable, a right value, and no secret."""
    done = run(COMMANDS["relay"], {**GOOD, name: value})
    case = f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode > 0, case
    assert "Traceback" not in done.stderr, case
    assert EXAMPLES[name] in done.stderr, case
    assert SECRET not in done.stdout + done.stderr, case
    assert not done.stdout, case


@pytest.mark.alone
@pytest.mark.parametrize(("command", "name", "value"), TIMED)
def test_bad_configuration_ends_the_command_soon(command, name, value):
    """In under 2 s."""
    assert quickest_of(lambda: run(COMMANDS[command], {**GOOD, name: value}), PATIENCE) < PATIENCE


@pytest.mark.parametrize(
    "example", [EXAMPLES["KAFKA_CONSUMER_CONFIG"], EXAMPLES["GRIP_URL"], "SECRET_KEY=text"]
)
def test_example_that_is_shown_works(example):
    """Whoever copies the line's example has a right value."""
    name, _, value = example.partition("=")
    done = run(["check"], {**GOOD, name: value})
    assert done.returncode == 0, done.stderr


def test_debug_needs_no_secret_key():
    """Development starts without one."""
    done = run(["check"], {**GOOD, "SECRET_KEY": None, "DEBUG": "true"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["check", "pushpin"])
def test_secrets_are_not_shown_where_all_is_well(command):
    """Neither password nor keys stand in what a command prints."""
    kafka = json.dumps({**KAFKA, "sasl.password": SECRET})
    port = free_port()
    variables = {
        "KAFKA_CONSUMER_CONFIG": kafka,
        "GRIP_URL": f"http://127.0.0.1:{port}?iss=i&key={SECRET}",
        "SECRET_KEY": SECRET,
    }
    done = run(COMMANDS[command], {**variables})
    assert done.returncode == 0, done.stderr
    assert not re.search(SECRET, done.stdout + done.stderr)
