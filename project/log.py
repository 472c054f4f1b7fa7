"""Logging: one event per line, readable on a terminal, JSON otherwise."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FIELDS = ("action", "topic", "partition", "offset")
"""What a log call may add by `extra`; the same words everywhere, so that they can be searched for."""


class TerminalFormatter(logging.Formatter):
    """Time, level, message, then the fields that are set."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback if there is one."""
        fields = "".join(f" {name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name))
        return super().format(record) + fields


class JSONFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in FIELDS if hasattr(record, name)})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configuration(level: str) -> dict[str, Any]:
    """Return Django's LOGGING for messages of `level` and above, on standard error."""
    pretty = {"()": "project.log.TerminalFormatter", "format": "%(asctime)s %(levelname)s %(message)s"}
    collected = {"()": "project.log.JSONFormatter"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": pretty if sys.stderr.isatty() else collected},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # `runserver` writes a line for each request; the proxy makes one for each refill.
        "loggers": {
            "django": {"handlers": []},  # its own, for DEBUG, would write each line again
            "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }
