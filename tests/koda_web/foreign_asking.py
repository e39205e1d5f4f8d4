"""How a request of the table is made, and what an answer tells."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from django.test import Client

from tests.koda_web.foreign_rows import ROOTS, Row
from tests.koda_web.neighbours import Things

FORM = "application/x-www-form-urlencoded"


def fields_of(schema: dict[str, Any], known: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield the places of all fields of a body that hold no others."""
    if "$ref" in schema:
        yield from fields_of(known[schema["$ref"].rpartition("/")[2]], known, place)
        return
    parts = [one for word in ("anyOf", "oneOf", "allOf") for one in schema.get(word, ())]
    for part in [*parts, *([schema["items"]] if "items" in schema else [])]:
        yield from fields_of(part, known, place)
    for name, one in schema.get("properties", {}).items():
        here = f"{place}.{name}" if place else name
        yield from set(fields_of(one, known, here)) or {here}


@dataclass(frozen=True)
class Answer:
    """What came back: with `text` goes where it leads."""

    status: int
    text: str


def filled(value: Any, things: dict[str, Things], *, in_path: bool = False) -> Any:
    """Return `value` with the things that it names; a text that is nothing else becomes what it names."""
    if isinstance(value, dict):
        return {name: filled(one, things) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, things) for one in value]
    if not isinstance(value, str):
        return value
    if (whole := re.fullmatch(r"\{(\w+)\.(\w+)\}", value)) is not None:
        found = getattr(things[whole[1]], whole[2])
        return str(found) if isinstance(found, UUID) else found

    def named(match: re.Match[str]) -> str:
        text = str(getattr(things[match[1]], match[2]))
        return quote(text, safe="") if in_path else text

    return re.sub(r"\{(\w+)\.(\w+)\}", named, value)


def _answer(response: Any) -> Answer:
    content = b"".join(response) if response.streaming else response.content
    told = [content.decode(errors="replace"), response.get("Location", ""), response.get("HX-Trigger", "")]
    said = [str(one) for one in response.cookies.values() if one.key == "messages"]
    return Answer(response.status_code, "\n".join([*told, *said]))


def ask(row: Row, mine: Things, its: Things) -> Answer:
    things = {"mine": mine, "its": its}
    path = filled(row.path, things, in_path=True)
    body = filled(row.body, things)
    client = Client(raise_request_exception=False)
    if path.startswith(tuple(ROOTS.values())):
        data = b"" if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {mine.plain}"}
        return _answer(client.generic(row.method, path, data, content_type="application/json", headers=headers))
    client.force_login(mine.owner)
    headers = {"HX-Request": "true"} if row.is_fragment else {}
    response = client.generic(row.method, path, urlencode(body or {}, doseq=True), FORM, headers=headers)
    answer = _answer(response)
    if response.status_code == HTTPStatus.FOUND:  # what a page has done is said on the next one
        answer = Answer(answer.status, answer.text + _answer(client.get("/account/")).text)
    return answer


def sent_forms(row: Row, its: Things) -> list[str]:
    """Return all forms in which an answer may repeat what was asked for, the longest first."""
    names = set(re.findall(r"\{its\.(\w+)\}", json.dumps([row.path, row.body])))
    texts = {str(getattr(its, name)) for name in names}
    if "project" in names:
        texts.add(PurePosixPath(its.project).name)
    ways = {way for text in texts for way in (text, quote(text, safe=""), quote(text), json.dumps(text)[1:-1])}
    return sorted(ways, key=len, reverse=True)


def without(text: str, sent: list[str]) -> str:
    """Return an answer without what was sent, and without what differs from request to request."""
    text = re.sub(r"\b[A-Za-z0-9]{64}\b", "…", text)  # what proves that a form is ours
    for one in sent:
        text = re.sub(r"\d+", "…", text) if one.isdigit() else text.replace(one, "…")
    return text


def told_of(its: Things, text: str) -> list[str]:
    """Return what a text tells of a person, by their words and by the ids of what they have."""
    ids = {str(value) for value in vars(its).values() if isinstance(value, UUID)}
    return [one for one in (its.secret, *ids) if one in text]
