"""What may stand for topics, a cursor and terms in a path; anything else is no URL of ours, and so 404."""

from __future__ import annotations

from django.urls.converters import StringConverter

from kafkasse import topics
from kafkasse.cursor import MAX_POSITION

_NAME = "[A-Za-z0-9._-]{1,249}"


class TopicsConverter:
    """One topic's name or several, joined by `+`, which cannot stand in a name."""

    regex = rf"{_NAME}(?:\+{_NAME})*"

    def to_python(self, value: str) -> tuple[str, ...]:
        """Return the names, each once and in one order: so whoever wants the same topics shares answers.

        Raises `ValueError` when one of them is `.` or `..`.
        """
        names = tuple(sorted(set(value.split("+"))))
        if not all(map(topics.is_name, names)):
            raise ValueError(value)
        return names

    def to_url(self, value: str | tuple[str, ...]) -> str:
        """Return the names joined, or one as it is; none of their characters means anything in a path."""
        return value if isinstance(value, str) else "+".join(value)


class TopicConverter(TopicsConverter):
    """One topic's name, alone in its tuple."""

    regex = _NAME


class CursorConverter(StringConverter):
    """A cursor: every character of it is safe in a path and in a `Grip-Link` header; `cursor.decode` judges it."""

    regex = "1[0-9a-z.~-]{1,16383}"


class NumberConverter:
    """A partition or an offset, as Kafka counts them: up to 2^63 - 1, and written in one way only."""

    regex = "0|[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        """Return the number; raise `ValueError` for one that Kafka does not know."""
        if (number := int(value)) > MAX_POSITION:
            raise ValueError(value)
        return number

    def to_url(self, value: int) -> str:
        """Return the digits."""
        return str(value)


class TermsConverter(StringConverter):
    """What is not usual of a stream; `stream.with_terms` judges it."""

    regex = "[a-z][0-9a-z._~-]{0,16400}"
