"""The shape of the code: which way imports go, and how long things get."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("kafkasse", "relay", "project")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 300, 50

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path):
    """Return a module's path inside the project."""
    return str(path.relative_to(ROOT))


def functions(path):
    """Return the functions and methods of a module."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function)]


def length(function):
    """Return how many lines a function has, decorators left out."""
    return function.end_lineno - function.lineno + 1


def test_modules_are_found():
    """The tests below look at something."""
    assert {"kafkasse/views.py", "relay/source.py", "project/settings.py"} <= set(map(name_of, MODULES))


def test_imports_keep_the_contracts():
    """Imports go project, relay, kafkasse; pure modules import nothing; each library has its importers."""
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: " in done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_has_a_docstring_and_fits_in_the_head(path):
    """It says why it exists, in 300 lines at most."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path):
    """None is longer than a screen."""
    assert [
        f"{each.name}: {length(each)}" for each in functions(path) if length(each) > LONGEST_FUNCTION
    ] == []


def test_functions_are_mostly_very_short():
    """Half of them have 8 lines at most, nine of ten 25."""
    lengths = sorted(length(each) for path in MODULES for each in functions(path))
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[len(lengths) * 9 // 10] <= 25
