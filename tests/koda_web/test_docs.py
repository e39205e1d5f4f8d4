"""The documentation keeps its word: its links lead somewhere, and every command has its heading."""

import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
COMMANDS = sorted(path.stem for path in (ROOT / "sessions/management/commands").glob("[!_]*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_that_is_there(page: Path):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_command_has_its_heading_and_every_heading_its_command():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## (\S+)$", text, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_named_under_its_heading(name):
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
    parser = load_command_class("sessions", name).create_parser("manage.py", name)
    options = {option for action in parser._actions for option in action.option_strings}
    djangos = {"-h", "--help", "--version", "-v", "--verbosity", "--settings", "--pythonpath", "--traceback"}
    djangos |= {"--no-color", "--force-color", "--skip-checks"}
    assert [option for option in sorted(options - djangos) if f"`{option}" not in section] == []
