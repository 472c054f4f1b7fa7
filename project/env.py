"""Typed values from the environment.

The process's own environment wins over `.env`.  Whatever is missing or malformed raises `ConfigurationError` with one
line that names the variable and shows a right example, and never repeats the value: it may hold a secret.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from dotenv import load_dotenv

from kafkasse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off", ""})
MAX_DIGITS = 100
"""More than any setting needs, and fewer than Python refuses to convert."""


def load(path: Path) -> None:
    """Add the variables of the dotenv file `path`, where it exists, to those the process already has.

    As they stand: a password may have a `${` in it.
    """
    load_dotenv(path, override=False, interpolate=False)


def text(name: str, default: str = "") -> str:
    """Return the variable, stripped of white space around it; unset and empty both give `default`."""
    return os.environ.get(name, "").strip() or default


def boolean(name: str, *, default: bool = False) -> bool:
    """Return true for true/1/yes/on, false for false/0/no/off, in any case."""
    value = text(name, str(default)).lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ConfigurationError(f"{name} is neither true nor false. Example: {name}=true")


def number(name: str) -> int:
    """Return a whole number that is not negative."""
    value = text(name)
    if not (value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS):
        raise ConfigurationError(f"{name} is not a whole number. Example: {name}=10")
    return int(value)


def choice(name: str, known: Sequence[str], default: str) -> str:
    """Return one of the words in `known`, which are upper case; the variable may be in any case."""
    value = text(name, default).upper()
    if value not in known:
        raise ConfigurationError(f"{name} is none of {', '.join(known)}. Example: {name}={default}")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Return the parts of a comma-separated list, without empty ones."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def overrides(shadow: type) -> dict[str, Any]:
    """Return the settings among the properties of `shadow` that the environment sets, typed as they are annotated.

    So a setting of an app is described once, in the app's own `conf`, default included.
    """
    readers: dict[str, Callable[[str], Any]] = {
        "int": number,
        "str": text,
        "bool": boolean,
        "bool | None": boolean,
    }
    types = {
        name: member.fget.__annotations__["return"]
        for name, member in vars(shadow).items()
        if isinstance(member, property) and member.fget
    }
    return {name: readers[kind](name) for name, kind in types.items() if kind in readers and text(name)}


def json_value(name: str, kind: type, example: str) -> Any:
    """Return the variable parsed as JSON, an instance of `kind`; `example` is shown when it is not."""
    value = text(name)
    if not value:
        raise ConfigurationError(f"{name} is not set. Example: {name}={example}")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, kind):
        what = "a JSON object" if kind is dict else "a JSON array"
        raise ConfigurationError(f"{name} is not {what}. Example: {name}={example}")
    return parsed
