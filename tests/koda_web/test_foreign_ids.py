"""Somebody else's private ids, names and marks in a request that is otherwise one's own: in every place of every door.

The table (`foreign_rows`) has a row for each parameter that can name something; a parameter without a row fails. Each
request is made three times: with the caller's own id, which works, with that of somebody else, and with one that
nothing has. The last two get the same answer. Nothing is told of what is not the caller's, and nothing of it changed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from difflib import unified_diff
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.utils import timezone

from tests.api.test_permissions import see_store, undone
from tests.conftest import ROOT
from tests.koda_web.foreign_asking import Answer, ask, fields_of, sent_forms, told_of, without
from tests.koda_web.foreign_rows import FREE, ROOTS, SAYS, TABLE, WORDS_THAT_SAY, Row
from tests.koda_web.neighbours import Things, furnish, nobodys, rows_of
from tests.koda_web.test_permissions import ALL, CONTRACTS, PAGES

HOURS = timedelta(hours=2)
"""So long ago is all that there is; a purge goes by the age."""


# --- No parameter is left out --------------------------------------------------------------------------------


def _parameters(door: str) -> Iterator[str]:
    """Yield every parameter of a contract: door, operation, where it stands and its name."""
    schema = CONTRACTS[f"api-{door}"].api.get_openapi_schema()
    known = schema.get("components", {}).get("schemas", {})
    for operation in (one for path in schema["paths"].values() for one in path.values()):
        for one in operation.get("parameters", ()):
            yield f"{door} {operation['operationId']} {one['in']}.{one['name']}"
        content = operation.get("requestBody", {}).get("content", {})
        for body in content.values():
            for field in set(fields_of(body["schema"], known)):
                yield f"{door} {operation['operationId']} body.{field}"


def _placed(rows: Iterable[str]) -> set[str]:
    """Return the parameters that rows are of, without what tells several rows of one apart."""
    return {re.sub(r" for good| (?:against|of|by|before) .*| before it .*", "", row) for row in rows}


def test_every_parameter_of_an_api_has_its_row():
    known = {one for door in ROOTS for one in _parameters(door)}
    rows = {row for row in _placed(TABLE) if row.split()[0] in ROOTS}
    naming = {one for one in known if not any(fnmatchcase(one, pattern) for pattern in SAYS)}
    assert naming == rows - FREE, "what names something needs a row in TABLE, what says something a line in SAYS"
    assert not [pattern for pattern in SAYS if not any(fnmatchcase(one, pattern) for one in known)]


_BAGS = "(?:GET|POST|data|query)"
_WORD = re.compile(
    rf"""{_BAGS}\.(?:get|getlist|pop)\("(\w+)"|{_BAGS}\["(\w+)"\]|\bnumber\((?:request, )?"(\w+)\""""
    rf"""|"(\w+)" (?:not )?in request\.{_BAGS}"""
)


def _words_read(folder: str) -> set[str]:
    """Return the words that modules read from an address or a form, one by one."""
    texts = [path.read_text() for path in Path(ROOT, folder).rglob("*.py")]
    return {next(filter(None, found)) for text in texts for found in _WORD.findall(text)}


def _form_fields(form: type[forms.Form] = forms.Form) -> Iterator[str]:
    for one in form.__subclasses__():
        if one.__module__.startswith("sessions.web"):
            yield from one.base_fields
        yield from _form_fields(one)


def test_every_id_in_a_path_and_every_word_of_a_page_has_its_row():
    paths = {
        f"{name} path.{word}" for name, route in ALL if name in PAGES for word in re.findall(r"<\w+:(\w+)>", route)
    }
    rows = {row for row in _placed(TABLE) if row.split()[0] not in ROOTS}
    assert paths == {row for row in rows if " path." in row}

    known = _words_read("sessions/web") | set(_form_fields()) | {"pick", "ask"}
    naming = {row.partition(" ?")[2] for row in rows if " ?" in row}
    assert known - WORDS_THAT_SAY == naming, "what names something needs a row in WEB"
    assert known >= WORDS_THAT_SAY


# --- Asking --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Who asks, who is asked of, and nobody."""

    mine: Things
    theirs: Things
    nobodys: Things


@pytest.fixture
def world(db: None, own_counts: None, time_machine: Any) -> World:
    time_machine.move_to(timezone.now(), tick=False)
    mine = furnish("sealion", "mackerel")
    theirs = furnish("zebra", "acacia", more=3)
    time_machine.shift(HOURS)
    return World(mine, theirs, nobodys(theirs))


ASKED = {place: " ".join(place.split()[: 2 if place.split()[0] in ROOTS else 1]) for place in TABLE}
"""By the places of the table, which operation or page is asked."""


@pytest.mark.parametrize("asked", dict.fromkeys(ASKED.values()))
def test_what_is_not_ones_own_is_as_what_is_not_there(world, asked):
    before = see_store()
    wrong = {}
    for place in (place for place, one in ASKED.items() if one == asked):
        faults = list(_faults(TABLE[place], world, before))
        if faults:
            wrong[place] = faults
    assert wrong == {}


def _faults(row: Row, world: World, before: dict[str, list[Any]]) -> Iterator[Any]:
    """Make a request with one's own, with somebody else's and with nobody's; yield what should not have come of it."""
    mine, theirs = world.mine, world.theirs
    with undone():
        own = ask(row, mine, mine)
        has_changed = rows_of(mine, see_store()) != rows_of(mine, before)
    with undone():
        foreign = ask(row, mine, theirs)
        after = see_store()
    with undone():
        absent = ask(row, mine, world.nobodys)
    if not _is(own, row.own) or (row.shows and mine.secret not in without(own.text, sent_forms(row, mine))):
        yield "one's own is refused, or not shown", own
    if row.changes and not has_changed:
        yield "one's own is not changed", own
    if not _is(foreign, row.refused):
        yield "is not answered as it should be", foreign
    if rows_of(theirs, after) != rows_of(theirs, before) or (row.refused and after != before):
        yield "changes something"
    yield from _told(row, world, foreign, absent)


def _is(answer: Answer, status: int | None) -> bool:
    """Say whether the status is this one; None: whether it lets in."""
    return answer.status < HTTPStatus.BAD_REQUEST if status is None else answer.status == status


def _told(row: Row, world: World, foreign: Answer, absent: Answer) -> Iterator[Any]:
    """Yield what an answer tells of somebody else's, beginning with whether it is there."""
    said = without(foreign.text, sent_forms(row, world.theirs))
    nothing = without(absent.text, sent_forms(row, world.nobodys))
    if told := told_of(world.theirs, said):
        yield "tells of somebody else's", told
    if not row.is_alike or (foreign.status, said) == (absent.status, nothing):
        return
    lines = unified_diff(said.splitlines(), nothing.splitlines(), lineterm="", n=0)
    yield "tells whether there is such a thing", foreign.status, absent.status, *lines
