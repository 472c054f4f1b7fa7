"""Log lines: one JSON object each, or one readable line."""

import json
import logging
import logging.config
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from project import log


def a_record(message="hello", *arguments, exc_info=None, **extra):
    """Return a log record of the level WARNING."""
    found = logging.LogRecord("kafkasse.x", logging.WARNING, __file__, 1, message, arguments, exc_info)
    vars(found).update(extra)
    return found


@given(st.text(), st.text())
def test_json_any_message_is_one_line(message, topic):
    """A line feed in a message does not make two events of it."""
    line = log.JSONFormatter().format(a_record("%s", message, topic=topic))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["message"], found["topic"]) == (message, topic)


def test_json_fields_are_these():
    """Collectors rely on the names."""
    before = datetime.now(UTC).replace(microsecond=0)
    found = json.loads(
        log.JSONFormatter().format(a_record(action="retry", topic="t", partition=1, offset=2, password="p"))
    )
    assert datetime.fromisoformat(found.pop("time")) >= before
    assert found == {
        "level": "warning",
        "logger": "kafkasse.x",
        "message": "hello",
        "action": "retry",
        "topic": "t",
        "partition": 1,
        "offset": 2,
    }


def failed():
    """Return what `sys.exc_info` says of an error."""
    try:
        int("first\nsecond")
    except ValueError:
        return sys.exc_info()
    return None


def test_json_traceback_stays_in_the_line():
    """The traceback is a field."""
    line = log.JSONFormatter().format(a_record(exc_info=failed()))
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["traceback"]


def test_json_odd_value_is_written_as_text():
    """What is no JSON does not cost the line."""
    assert (
        json.loads(log.JSONFormatter().format(a_record(offset={1, 2}.__class__)))["offset"] == "<class 'set'>"
    )


def test_terminal_line_ends_with_the_fields_that_are_set():
    """Readable, and still to be searched for."""
    formatter = log.TerminalFormatter("%(levelname)s %(message)s")
    assert formatter.format(a_record("%d records", 3, topic="t", action="publish")) == (
        "WARNING 3 records action=publish topic=t"
    )
    assert formatter.format(a_record()) == "WARNING hello"


@pytest.mark.parametrize("terminal", [True, False])
def test_configuration_chooses_by_the_terminal(monkeypatch, terminal):
    """People get lines, collectors JSON."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    found = log.configuration("INFO")
    expected = log.TerminalFormatter if terminal else log.JSONFormatter
    assert found["formatters"]["line"]["()"] == f"{expected.__module__}.{expected.__qualname__}"
    assert found["root"] == {"handlers": ["stderr"], "level": "INFO"}
    assert found["disable_existing_loggers"] is False
    logging.config.DictConfigurator(found).configure_formatter(found["formatters"]["line"])
