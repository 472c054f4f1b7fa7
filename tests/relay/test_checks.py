"""The relay's settings: their defaults, and what is refused."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks

from relay.conf import conf


def problems():
    """Return the ids of what Django's check says of this app."""
    return [found.id for found in run_checks() if found.id.startswith("relay.")]


def test_settings_that_are_not_set_have_their_defaults():
    """Nothing has to be set."""
    assert conf.RELAY_INSTANCE_ID == ""
    assert 1 <= conf.RELAY_PUBLISH_TIMEOUT <= 10


def test_settings_are_read_at_each_use(settings):
    """So that `override_settings` works."""
    settings.RELAY_INSTANCE_ID, settings.RELAY_PUBLISH_TIMEOUT = "a", 3
    assert (conf.RELAY_INSTANCE_ID, conf.RELAY_PUBLISH_TIMEOUT) == ("a", 3)


@pytest.mark.parametrize("value", [1, 10, 300])
def test_check_of_a_publish_timeout_that_is_a_time_is_silent(settings, value):
    """Whole seconds."""
    settings.RELAY_PUBLISH_TIMEOUT = value
    assert problems() == []


@pytest.mark.parametrize("value", [0, -1, "10", None, 2.5])
def test_check_of_a_publish_timeout_that_is_none_is_e001(settings, value):
    """A publish without a time-out stands still for ever."""
    settings.RELAY_PUBLISH_TIMEOUT = value
    assert problems() == ["relay.E001"]
