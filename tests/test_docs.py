"""The documentation cannot lie about names: what exists is in `docs/reference/`, and what is there exists."""

import ast
import importlib
import re
from argparse import Action
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.core.management.base import BaseCommand
from django.urls import get_resolver

from kafkasse import positions, urls
from kafkasse.conf import Settings as WebSettings
from project import log
from relay import consumer_config
from relay.conf import Settings as RelaySettings

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PACKAGES = ("kafkasse", "relay", "project")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
OWNED = (consumer_config.OWNED, positions.OWNED)
DEFAULTS = (consumer_config.DEFAULTS, positions.DEFAULTS)
NOT_THE_WEBS = positions.RELAYS_OWN - {"group.remote.assignor"}  # of the protocol that is not used
"""What librdkafka is given in the relay, and on the web side."""
NO_READERS = {"load", "overrides"}
"""The functions of `project.env` that do not take the name of a variable."""


def named(path: Path) -> str:
    """Return a path as people write it in this project."""
    return path.relative_to(ROOT).as_posix()


# --- reading the documentation -----------------------------------------------------------------------------------


@cache
def prose(path: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def tables(path: Path) -> Iterator[list[list[str]]]:
    """Yield each table of a page: rows of cells, the header first."""
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(path) + "\n", flags=re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def column(page: str, header: str) -> list[str]:
    """Return what stands in backticks in the first cells of the tables of a page whose first header is `header`."""
    return [
        name
        for header_row, *rows in tables(REFERENCE / page)
        if header_row[0] == header
        for row in rows
        for name in re.findall(r"`([^`]+)`", row[0])
    ]


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the fragments that the headings of a page can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings)


def links(path: Path) -> list[str]:
    """Return the targets of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(path))


# --- reading the code --------------------------------------------------------------------------------------------


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax trees of the packages' modules, by path."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {named(path): ast.parse(path.read_text()) for path in found}


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Return all calls in a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def variables() -> set[str]:
    """Return the environment variables that the settings are made of."""
    shadows = {
        name for shadow in (WebSettings, RelaySettings) for name in vars(shadow) if not name.startswith("_")
    }
    read = {
        call.args[0].value
        for call in calls(trees()["project/settings.py"])
        if isinstance(call.func, ast.Attribute) and call.func.attr not in NO_READERS
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "env"
    }
    return shadows | read


def check_ids() -> set[str]:
    """Return the ids of the system checks, as they are written in the modules `checks`."""
    return {
        keyword.value.value
        for path, tree in trees().items()
        if path.endswith("/checks.py")
        for call in calls(tree)
        for keyword in call.keywords
        if keyword.arg == "id" and isinstance(keyword.value, ast.Constant)
    }


def logged() -> dict[str, set[str]]:
    """Return what log calls add by `extra`: the fields, and what stands in them literally."""
    found: dict[str, set[str]] = {}
    for tree in trees().values():
        for call in calls(tree):
            for extra in (word.value for word in call.keywords if word.arg == "extra"):
                assert isinstance(extra, ast.Dict), ast.unparse(call)
                for key, value in zip(extra.keys, extra.values, strict=True):
                    found.setdefault(ast.literal_eval(key), set()).update(
                        node.value for node in ast.walk(value) if isinstance(node, ast.Constant)
                    )
    return found


def commands() -> dict[str, BaseCommand]:
    """Return our management commands by name."""
    paths = (path for package in PACKAGES for path in (ROOT / package).glob("management/commands/[a-z]*.py"))
    return {
        path.stem: importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)).Command()
        for path in paths
    }


def options(command: BaseCommand) -> set[str]:
    """Return the options that a command adds to those of the class of Django's from which it descends."""
    base = next(each for each in type(command).__mro__ if each.__module__.startswith("django."))
    inherited = {flag for action in actions(base()) for flag in action.option_strings}
    return {flag for action in actions(command) for flag in action.option_strings} - inherited


def actions(command: BaseCommand) -> list[Action]:
    """Return what a command's parser knows; argparse has no public way to ask."""
    return command.create_parser("manage.py", "command")._actions  # noqa: SLF001


def routes() -> set[str]:
    """Return the URLs of the app as people write them: `/events/<topics>/`; one topic alone is a `<topic>`."""
    patterns = get_resolver(urls.__name__).url_patterns
    written = (str(each.pattern).replace("<topic:topics>", "<topic>") for each in patterns)
    return {"/" + re.sub(r"<\w+:(\w+)>", r"<\1>", each) for each in written}


# --- the tests ---------------------------------------------------------------------------------------------------


def agree(documented: list[str], existing: set[str]) -> None:
    """Fail with the names that are on one side only, and with those that are described twice."""
    twice = sorted({name for name in documented if documented.count(name) > 1})
    assert sorted(existing - set(documented)) == [], "not documented"
    assert sorted(set(documented) - existing) == [], "documented, but not there"
    assert twice == [], "documented twice"


def test_settings_all_documented():
    """Every variable that is read has a row, and every row a variable."""
    assert {
        "DEBUG",
        "KAFKA_CONSUMER_CONFIG",
        "GRIP_URL",
        "KAFKASSE_READERS",
        "RELAY_INSTANCE_ID",
    } <= variables()
    agree(column("settings.md", "variable"), variables())


def test_settings_in_other_pages_exist():
    """A page, the example of `.env` included, names no variable of ours that is not read."""
    pattern = r"\b(?:KAFKASSE|RELAY|GRIP|CORS|KAFKA)_[A-Z_]+\b"
    for path in [*PAGES, ROOT / ".env.example"]:
        strange = set(re.findall(pattern, path.read_text())) - variables()
        assert strange == set(), named(path)


def test_defaults_documented_as_they_are():
    """A number or text that a setting defaults to is the one that its row shows."""
    shown = {
        name: row[1].strip("`")
        for header, *rows in tables(REFERENCE / "settings.md")
        if header[0] == "variable"
        for row in rows
        for name in re.findall(r"`([^`]+)`", row[0])
    }
    for shadow in (WebSettings(), RelaySettings()):  # the tests' own settings set none of these
        for name in (name for name in vars(type(shadow)) if name.startswith(("KAFKASSE_", "RELAY_"))):
            value = getattr(shadow, name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert shown[name] == text or value in {"", None}, name


def test_owned_librdkafka_settings_documented():
    """Whoever sets one of those that we own can read that it has no effect, and which value it has."""
    (table,) = (
        rows for header, *rows in tables(REFERENCE / "settings.md") if header[0] == "librdkafka setting"
    )
    rows = {row[0].strip("`"): row[1:] for row in table}
    assert set(rows) == {*OWNED[0], *OWNED[1], *NOT_THE_WEBS}
    for place, owned in enumerate(OWNED):
        for name, value in owned.items():
            if name != "topic.blacklist":
                assert rows[name][place].strip("`") == str(value).lower(), name


def test_librdkafka_defaults_documented():
    """The table of changed defaults is that of the code."""
    (table,) = (
        rows for header, *rows in tables(REFERENCE / "settings.md") if header[0] == "librdkafka default"
    )
    for place, defaults in enumerate(DEFAULTS, start=1):
        documented = {row[0].strip("`"): row[place].strip("`") for row in table if row[place]}
        assert documented == {name: str(value).lower() for name, value in defaults.items()}


def test_checks_all_documented():
    """Every check's id has a row, and every row a check."""
    assert check_ids()
    agree(column("checks.md", "id"), check_ids())


def test_urls_all_documented():
    """Every URL has a row, and every row a URL."""
    assert "/events/<topics>/" in routes()
    agree(column("http.md", "URL"), routes())


def test_commands_all_documented():
    """Every command has a heading, and every heading a command."""
    headings = re.findall(r"^## `(\w+)`$", prose(REFERENCE / "commands.md"), flags=re.MULTILINE)
    assert "relay" in commands()
    agree(headings, set(commands()))


@pytest.mark.parametrize("name", sorted(commands()))
def test_options_all_documented(name):
    """A command's options are those of the table on the page of its own, or else there are none."""
    page = f"{name}.md"
    documented = column(page, "option") if (REFERENCE / page).exists() else []
    inherited = {"-v"}  # worth a row where it means something of its own
    agree([option for option in documented if option not in inherited], options(commands()[name]))


def test_log_fields_all_documented():
    """Every field that a line of JSON may have is described, and is one that log calls may add."""
    own = {"time", "level", "logger", "message", "traceback"}
    agree(column("logging.md", "field"), own | set(log.FIELDS))
    assert set(logged()) <= set(log.FIELDS)


def test_log_actions_all_documented():
    """The words that stand in the field `action` are those of the table."""
    agree(column("logging.md", "action"), logged()["action"])


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path):
    """A relative link points to a file of this project, and a fragment to a heading there."""
    for target in links(path):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, fragment = unquote(target).partition("#")
        found = (path.parent / place).resolve() if place else path
        assert found.is_relative_to(ROOT), target
        assert found.exists(), target
        assert not fragment or fragment in anchors(found), target


def test_pages_all_linked():
    """Every page can be reached from the README."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        for target in links(path):
            found = (path.parent / target.partition("#")[0]).resolve()
            if found.suffix == ".md" and found.exists() and found not in reached:
                waiting.append(found)
    assert [named(path) for path in PAGES if path not in reached] == []


def test_pages_mentioned_in_code_exist():
    """A docstring or comment that refers to a page refers to one that is there."""
    texts = [*ROOT.glob("scripts/*"), *ROOT.glob("scripts/*/*")]
    texts += [path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]
    for path in texts:
        if path.is_file() and path.suffix != ".pyc":
            for page in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text()):
                assert (ROOT / page).exists(), f"{named(path)}: {page}"


def test_no_file_names_paths_of_a_machine():
    """Nobody else has the folders in which somebody works on this."""
    machine = re.compile(r"(?<![\w.*>}~/-])/(?:work|root|home|Users)/[\w.-]+")
    skipped = re.compile(
        r"(?:^|/)(?:\.(?!ci|env\.example|gitignore)[^/]+|__pycache__|node_modules|build|dist)(?:/|$)"
    )
    texts = [path for path in ROOT.rglob("*") if path.is_file() and not skipped.search(named(path))]
    assert ROOT / "README.md" in texts
    for path in texts:
        if path.suffix not in {".png", ".jar", ".pyc"}:
            found = machine.findall(path.read_text(errors="replace"))
            assert found == [], named(path)
