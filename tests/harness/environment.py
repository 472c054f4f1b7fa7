"""The environment in which the harness starts the project's parts: nothing of a developer's own settings in it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYTHON = sys.executable
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "JAVA_HOME")
"""What a program needs to run on this machine; everything else is left out."""


def clean(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment of `extra` and what every program needs; `.env` is not read."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    fixed = {"PYTHONUNBUFFERED": "1", "PYTHON_DOTENV_DISABLED": "1"}
    return {**kept, **fixed, **(extra or {})}


def manage(*arguments: str) -> list[str]:
    """Return the command line of one of the project's management commands."""
    return [PYTHON, str(PROJECT / "manage.py"), *arguments]
