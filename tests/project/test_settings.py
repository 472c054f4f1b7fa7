"""The project's settings, as each environment makes them, and the one line that a wrong one ends in."""

import json
import os
import runpy
import subprocess
from pathlib import Path

import pytest

from kafkasse.exceptions import ConfigurationError
from tests.harness.environment import clean, manage

SETTINGS = Path(__file__).parents[2] / "project" / "settings.py"
KAFKA = json.dumps({"bootstrap.servers": "localhost:9092", "group.id": "mygroup"})
SECRET = "hunter2"
GOOD = {"KAFKA_CONSUMER_CONFIG": KAFKA, "GRIP_URL": "http://localhost:5561", "SECRET_KEY": SECRET}


@pytest.fixture
def load(monkeypatch):
    """Return a function that runs the settings in an environment of nothing else; None takes a variable out."""

    def run(**changes):
        environment = {**GOOD, "PYTHON_DOTENV_DISABLED": "1", **changes}
        for name in set(os.environ) - {"PATH", "HOME"}:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return runpy.run_path(str(SETTINGS))

    return run


def refusal(load, name, **changes):
    """Return the message with which the settings refuse; one line that names the variable and shows an example."""
    with pytest.raises(ConfigurationError) as caught:
        load(**changes)
    message = str(caught.value)
    assert message.startswith(name)
    assert f"Example: {name}=" in message
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_settings_inherited_environment_is_enough(load):
    """The five variables of the setting that this project grew up in, and no other."""
    found = load(DEBUG="true", SECRET_KEY="s", ALLOWED_HOSTS="example.org, 127.0.0.1")
    assert found["DEBUG"] is True
    assert found["SECRET_KEY"] == "s"
    assert found["ALLOWED_HOSTS"] == ["example.org", "127.0.0.1"]
    assert found["KAFKA_CONSUMER_CONFIG"] == json.loads(KAFKA)
    assert found["GRIP_PROXIES"] == [{"control_uri": "http://localhost:5561"}]


def test_settings_defaults_are_safe(load):
    """Off unless switched on; nobody from outside; no origin."""
    found = load()
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert found["CORS_ALLOWED_ORIGINS"] == []
    assert found["CORS_ALLOW_ALL_ORIGINS"] is False
    assert not [name for name in found if name.startswith(("KAFKASSE_", "RELAY_"))]


def test_settings_debug_needs_no_secret_key(load):
    """Development starts without one."""
    assert load(DEBUG="true", SECRET_KEY=None)["SECRET_KEY"]


@pytest.mark.parametrize("value", [None, "", "  "], ids=repr)
def test_settings_secret_key_missing_is_refused(load, value):
    """Production does not."""
    refusal(load, "SECRET_KEY", SECRET_KEY=value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        SECRET,
        "[]",
        '{"password": "hunter2"',
        '{"group.id": "hunter2"}',
        "{}",
        '{"bootstrap.servers": "a:1", "group.id": "g", "error_cb": "hunter2"}',
        '{"bootstrap.servers": "a:1", "group.id": "g", "logger": 1}',
        '{"bootstrap.servers": "a:1", "group.id": "\\ud800"}',
    ],
)
def test_settings_consumer_config_malformed_is_refused(load, value):
    """No brokers, no group, no JSON; what would have to be a function; what is no text to librdkafka."""
    refusal(load, "KAFKA_CONSUMER_CONFIG", KAFKA_CONSUMER_CONFIG=value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "hunter2",
        "localhost:5561",
        "ftp://hunter2@localhost:5561",
        "http://",
        "http://?key=hunter2",
        "https:///?key=hunter2",
        "http://[::1?key=hunter2",
        "http://localhost:5561?key=base64:hunter2",
        "http://localhost:port?key=hunter2",
        "http://localhost:99999?key=hunter2",
        "http:///path?key=hunter2",
        "http://localhost:5561?key=hunter2%0Ax",
        "http://localhost:5561?key=hunter2%D0%BA",
        "http://localhost:5561?key=base64://///w==",
        "http://localhost:5561?iss=me&key=-----BEGIN%20PUBLIC%20KEY-----%0Ahunter2%0A-----END%20PUBLIC%20KEY-----",
    ],
    ids=str,
)
def test_settings_grip_url_malformed_is_refused(load, value):
    """The key in it is never shown."""
    refusal(load, "GRIP_URL", GRIP_URL=value)


@pytest.mark.parametrize("value", ["hunter2", "http://a:1,hunter2"])
def test_settings_grip_proxies_malformed_is_refused(load, value):
    """The line names the variable that is wrong."""
    refusal(load, "GRIP_PROXIES", GRIP_PROXIES=value)


def test_settings_grip_url_parts_are_read(load):
    """Key, issuer and a second proxy."""
    found = load(
        GRIP_URL="https://a:1/x/?iss=me&key=hunter2", GRIP_PROXIES="http://b:2?verify-key=k&verify-iss=i"
    )
    assert found["GRIP_PROXIES"] == [
        {"control_uri": "https://a:1/x", "control_iss": "me", "key": "hunter2"},
        {"control_uri": "http://b:2", "verify_iss": "i", "verify_key": "k", "key": None},
    ]
    # django-grip would add GRIP_URL to the list again at every request.
    assert "GRIP_URL" not in found


@pytest.mark.parametrize(
    "name", ["DEBUG", "KAFKASSE_READERS", "KAFKASSE_MAX_CHANNELS", "RELAY_PUBLISH_TIMEOUT"]
)
def test_settings_typed_variable_malformed_is_refused(load, name):
    """Each typed variable is refused by its own name."""
    refusal(load, name, **{name: SECRET})


def test_settings_of_the_apps_come_from_the_environment(load):
    """Any setting of an app can be set from outside."""
    found = load(
        KAFKASSE_READERS="8", KAFKASSE_TOPIC_PATTERN="shop[.].*", RELAY_INSTANCE_ID="one", GRIP_PREFIX="p-"
    )
    assert (found["KAFKASSE_READERS"], found["KAFKASSE_TOPIC_PATTERN"]) == (8, "shop[.].*")
    assert (found["RELAY_INSTANCE_ID"], found["GRIP_PREFIX"]) == ("one", "p-")


def test_settings_cors_origins(load):
    """One setting for the origins; `*` is all of them."""
    found = load(CORS_ALLOWED_ORIGINS="https://a.example,https://b.example")
    assert found["CORS_ALLOWED_ORIGINS"] == ["https://a.example", "https://b.example"]
    found = load(CORS_ALLOWED_ORIGINS="*")
    assert (found["CORS_ALLOWED_ORIGINS"], found["CORS_ALLOW_ALL_ORIGINS"]) == ([], True)


def test_check_command_good_configuration_passes():
    """And a right one is taken."""
    environment = clean({**GOOD, "SECRET_KEY": "of-the-tests-0123456789-0123456789-0123456789-abc"})
    done = subprocess.run(
        manage("check"), env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("kafkasse.W001") == 1
