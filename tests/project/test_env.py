"""Values from the environment: what is read, and what is refused without being repeated."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafkasse.exceptions import ConfigurationError
from project import env

SECRET = "hunter2"
EXAMPLE = '{"a": "b"}'


def refusal(read, *arguments):
    """Return the message with which `read` refuses; it is one line, names NAME and shows an example."""
    with pytest.raises(ConfigurationError) as caught:
        read("NAME", *arguments)
    message = str(caught.value)
    assert message.startswith("NAME ")
    assert "Example: NAME=" in message
    assert "\n" not in message
    assert SECRET not in message
    assert SECRET not in repr(caught.value.__cause__)
    return message


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "1", "yes", "on", " on "])
def test_boolean_true_in_all_spellings(monkeypatch, value):
    """What people write for true."""
    monkeypatch.setenv("NAME", value)
    assert env.boolean("NAME") is True


@pytest.mark.parametrize("value", ["false", "False", "0", "no", "OFF", " off "])
def test_boolean_false_in_all_spellings(monkeypatch, value):
    """What people write for false; the default does not matter then."""
    monkeypatch.setenv("NAME", value)
    assert env.boolean("NAME", default=True) is False


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("value", [None, "", "  "], ids=repr)
def test_boolean_unset_or_empty_is_the_default(monkeypatch, value, default):
    """Empty means unset."""
    monkeypatch.delenv("NAME", raising=False)
    if value is not None:
        monkeypatch.setenv("NAME", value)
    assert env.boolean("NAME", default=default) is default


@pytest.mark.parametrize("value", [SECRET, "2", "tru", "yes please", "true\nfalse", "None"])
def test_boolean_malformed_is_refused(monkeypatch, value):
    """Neither is not false."""
    monkeypatch.setenv("NAME", value)
    refusal(env.boolean)


@pytest.mark.parametrize(
    ("value", "number"), [("0", 0), ("10", 10), (" 7 ", 7), ("007", 7), (str(2**70), 2**70)]
)
def test_number_is_read(monkeypatch, value, number):
    """Decimal digits, nothing else."""
    monkeypatch.setenv("NAME", value)
    assert env.number("NAME") == number


@pytest.mark.parametrize(
    "value",
    [SECRET, "", "-1", "+1", "1.5", "1e3", "0x10", "1_000", "1 000", "٣", "²", "1\n2", "ten", "9" * 5000],
    ids=lambda value: ascii(value[:20]),
)
def test_number_malformed_is_refused(monkeypatch, value):
    """What only Python takes for a number is refused too."""
    monkeypatch.setenv("NAME", value)
    refusal(env.number)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20))
def test_number_any_text_is_a_number_or_refused(monkeypatch, value):
    """No text gives anything but a number or one line."""
    monkeypatch.setenv("NAME", value)
    try:
        found = env.number("NAME")
    except ConfigurationError:
        assert refusal(env.number)
    else:
        assert found >= 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        SECRET,
        "{",
        '{"password": "hunter2"',
        "{'password': 'hunter2'}",
        '["hunter2"]',
        '"hunter2"',
        "null",
        "1",
        '{"password": "hunter2"} x',
        '{"a": "hunter2\n"}',
        "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
    ids=lambda value: value[:20],
)
def test_json_value_malformed_is_refused(monkeypatch, value):
    """The value may hold a password, whatever is wrong with it."""
    monkeypatch.setenv("NAME", value)
    assert refusal(env.json_value, dict, EXAMPLE).endswith(f"Example: NAME={EXAMPLE}")


def test_json_value_object_expected_of_an_array_names_the_kind(monkeypatch):
    """The line says what was expected."""
    monkeypatch.setenv("NAME", "{}")
    assert "JSON array" in refusal(env.json_value, list, "[]")
    monkeypatch.setenv("NAME", "[]")
    assert "JSON object" in refusal(env.json_value, dict, EXAMPLE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.booleans(), max_size=4))
def test_json_value_object_is_read(monkeypatch, value):
    """Any object comes through."""
    monkeypatch.setenv("NAME", json.dumps(value))
    assert env.json_value("NAME", dict, EXAMPLE) == value


@pytest.mark.parametrize(
    ("value", "words"),
    [("a,b", ["a", "b"]), (" a , ,b,", ["a", "b"]), (",", []), ("", ["d"]), ("a b", ["a b"])],
)
def test_words_are_split_at_commas(monkeypatch, value, words):
    """Empty parts are none."""
    monkeypatch.setenv("NAME", value)
    assert env.words("NAME", "d") == words


def test_overrides_only_what_is_set_typed_as_annotated(monkeypatch):
    """A setting is declared once, in its app; the environment gives it another value."""

    class Shadow:
        @property
        def A_NUMBER(self) -> "int":  # noqa: N802
            raise AssertionError

        @property
        def A_TEXT(self) -> "str":  # noqa: N802
            raise AssertionError

        @property
        def A_FLAG(self) -> "bool":  # noqa: N802
            raise AssertionError

        @property
        def A_FLAG_OR_NONE(self) -> "bool | None":  # noqa: N802
            raise AssertionError

        @property
        def A_LIST(self) -> "list[str]":  # noqa: N802
            raise AssertionError

        @property
        def UNSET(self) -> "int":  # noqa: N802
            raise AssertionError

        @property
        def EMPTY(self) -> "int":  # noqa: N802
            raise AssertionError

    given = {
        "A_NUMBER": "7",
        "A_TEXT": "x",
        "A_FLAG": "yes",
        "A_FLAG_OR_NONE": "no",
        "A_LIST": "x",
        "EMPTY": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)
    assert env.overrides(Shadow) == {"A_NUMBER": 7, "A_TEXT": "x", "A_FLAG": True, "A_FLAG_OR_NONE": False}


def test_load_real_environment_wins(monkeypatch, tmp_path):
    """What the process was started with is not changed by a file; the rest of the file counts."""
    (tmp_path / ".env").write_text('FROM_BOTH=file\nFROM_FILE={"a": "${b}"}\nEMPTY_OUTSIDE=file\n')
    for name in ("PYTHON_DOTENV_DISABLED", "FROM_FILE"):
        monkeypatch.setenv(name, "so that it is put back afterwards")
        monkeypatch.delenv(name)
    monkeypatch.setenv("FROM_BOTH", "process")
    monkeypatch.setenv("EMPTY_OUTSIDE", "")
    env.load(tmp_path / ".env")
    assert env.text("FROM_BOTH") == "process"
    assert env.json_value("FROM_FILE", dict, EXAMPLE) == {"a": "${b}"}  # a password may have that in it
    assert env.text("EMPTY_OUTSIDE") == ""


def test_load_missing_file_is_no_error(tmp_path):
    """A deployment needs no `.env`."""
    before = dict(os.environ)
    env.load(tmp_path / "nothing")
    assert dict(os.environ) == before
