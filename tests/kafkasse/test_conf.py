"""The settings' defaults, and that each is read when it is used."""

import pytest
from django.test import override_settings

from kafkasse.conf import Settings, conf, validated_consumer_config
from kafkasse.exceptions import ConfigurationError

DEFAULTS = {
    "KAFKA_CONSUMER_CONFIG": {},
    "GRIP_PROXIES": [],
    "GRIP_PREFIX": "",
    "KAFKASSE_TOPIC_PATTERN": ".*",
    "KAFKASSE_MAX_CHANNELS": 1000,
    "KAFKASSE_PAGE_BYTES": 1_000_000,
    "KAFKASSE_CACHE_BYTES": 64_000_000,
    "KAFKASSE_REPLAY_REST": 100,
    "KAFKASSE_CATCH_UP_RATE": 120_000_000,
    "KAFKASSE_DIRECT": False,
    "KAFKASSE_DIRECT_STREAMS": 100,
    "KAFKASSE_SEALED_ANSWERS": None,
    "KAFKASSE_PAGE_RECORDS": 1000,
    "KAFKASSE_MAX_LAST": 1000,
    "KAFKASSE_READERS": 4,
    "KAFKASSE_KEEP_ALIVE": 37,
    "KAFKASSE_NEXT_TIMEOUT": 29,
}
NAMES = {name for name, member in vars(Settings).items() if isinstance(member, property)}


def test_defaults_are_listed_for_every_setting():
    """A new setting has to come here."""
    assert set(DEFAULTS) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_setting_unset_is_its_default(name, settings):
    """Nothing has to be set but what has no default."""
    if hasattr(settings, name):
        delattr(settings, name)
    assert getattr(conf, name) == DEFAULTS[name]
    assert type(getattr(conf, name)) is type(DEFAULTS[name])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_setting_overridden_is_read_at_use(name):
    """A test or a running server may change it."""
    with override_settings(**{name: "other"}):
        assert getattr(conf, name) == "other"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_setting_has_a_docstring(name):
    """Each is described where it is declared."""
    assert getattr(Settings, name).__doc__


GOOD = {"bootstrap.servers": "a:1", "group.id": "g"}


@pytest.mark.parametrize(
    "more", [{}, {"session.timeout.ms": 6000}, {"enable.ssl": True}, {"debug": "broker"}]
)
def test_validated_consumer_config_good_is_returned(more):
    """What librdkafka takes passes."""
    assert validated_consumer_config({**GOOD, **more}) == {**GOOD, **more}


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (None, "object"),
        ([], "object"),
        ("{}", "object"),
        ({}, "bootstrap.servers"),
        ({"group.id": "g"}, "bootstrap.servers"),
        ({**GOOD, "bootstrap.servers": " "}, "bootstrap.servers"),
        ({**GOOD, "bootstrap.servers": ["a:1"]}, "bootstrap.servers"),
        ({"bootstrap.servers": "a:1"}, "group.id"),
        ({**GOOD, "group.id": ""}, "group.id"),
        ({**GOOD, "group.id": 7}, "group.id"),
        ({**GOOD, "x": None}, "x"),
        ({**GOOD, "x": {"hunter2": 1}}, "x"),
        ({**GOOD, "x": ["hunter2"]}, "x"),
    ],
    ids=str,
)
def test_validated_consumer_config_bad_is_refused_in_one_line(config, word):
    """The line names what is wrong, shows what is right, and repeats no value."""
    with pytest.raises(ConfigurationError) as caught:
        validated_consumer_config(config)
    message = str(caught.value)
    assert message.startswith("KAFKA_CONSUMER_CONFIG")
    assert word in message
    assert 'Example: KAFKA_CONSUMER_CONFIG={"bootstrap.servers": "localhost:9092"' in message
    assert "\n" not in message
    assert "hunter2" not in message
