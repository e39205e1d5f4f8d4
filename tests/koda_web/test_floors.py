"""What import-linter cannot say: which parts of Django stay out of the house's lower floors."""

import ast
import re
from pathlib import Path

from tests.conftest import ROOT

DOORS = {"admin", "api", "apps", "importers", "live", "management", "migrations", "templatetags", "web"}
"""Modules of sessions that may speak HTTP, sockets, pages or the shell."""
OF_THE_DOORS = ("django.http", "django.shortcuts", "django.template", "django.urls", "django.views")
FORBIDDEN_NAMES = {"utils", "helpers", "services", "common", "base", "misc"}
LONGEST = 400


def find_modules() -> list[Path]:
    return sorted(path for part in ("koda_web", "sessions") for path in (ROOT / part).rglob("*.py"))


def find_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def is_below_the_doors(path: Path) -> bool:
    first = path.relative_to(ROOT / "sessions").parts[0].removesuffix(".py")
    return first not in DOORS


def test_nothing_below_the_doors_speaks_http():
    below = [path for path in (ROOT / "sessions").rglob("*.py") if is_below_the_doors(path)]
    found = {str(path.relative_to(ROOT)): find_imports(path) for path in below}
    assert "sessions/signals.py" in found
    assert not {(path, name) for path, names in found.items() for name in names if name.startswith(OF_THE_DOORS)}


def test_only_the_settings_read_the_environment():
    """To hand the environment on to a process, or to name the settings module in it, is not to read it."""
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in find_modules()}
    reading = re.compile(r"os\.environ(\[|\.get\(|\.items\()|os\.getenv|env\.read\(|koda_web\.env import")
    readers = {path for path, text in texts.items() if reading.search(text)}
    assert readers == {"koda_web/settings.py"}


def test_no_module_has_a_name_that_says_nothing():
    named_by_django = set((ROOT / "koda_web/engines").glob("*/base.py"))  # an engine is the module `base` of a package
    assert {path for path in find_modules() if path.stem in FORBIDDEN_NAMES} == named_by_django


def test_no_module_is_longer_than_a_reader_can_hold():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in find_modules()}
    assert not {
        str(path.relative_to(ROOT)): length
        for path, length in lengths.items()
        if length > LONGEST and "migrations" not in path.parts
    }
