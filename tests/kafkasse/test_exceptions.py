"""Errors: one family, with a remedy in each."""

import inspect

import pytest

from kafkasse import exceptions

FAMILY = [found for _, found in inspect.getmembers(exceptions, inspect.isclass)]


@pytest.mark.parametrize("error", FAMILY, ids=lambda error: error.__name__)
def test_error_without_message_says_its_docstring(error):
    """The class says in one line what happened and what to do."""
    assert issubclass(error, exceptions.KafkaSSEError)
    assert str(error()) == error.__doc__
    assert "\n" not in error.__doc__
    assert "; " in error.__doc__


def test_error_with_message_says_that():
    """Where more is known, it is said instead."""
    assert str(exceptions.PublishError("refused")) == "refused"
