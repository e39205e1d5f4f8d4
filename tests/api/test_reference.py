"""The reference of an API: everything that its schema says, in a page that needs no script."""

import shlex
from http import HTTPStatus

import pytest

from sessions.api.native.api import api as native
from sessions.api.reference import Word, groups, kind_of, shapes
from sessions.api.stakpak.api import api as stakpak
from sessions.api.zeroclaw.api import api as zeroclaw
from tests.factories import make_user
from tests.web.markup import parse

ROOTS = {"/api/v1": native, "/api/zeroclaw": zeroclaw, "/v1": stakpak}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "time (RFC 3339)"),
        ({"type": "string", "maxLength": 1000}, "string, at most 1,000"),
        ({"type": "integer", "minimum": 0, "maximum": 500}, "integer, 0 to 500"),
        ({"type": "integer", "minimum": 1}, "integer, 1 or more"),
        ({"enum": ["user", "tool"], "type": "string"}, 'one of "user", "tool"'),
        ({"const": "on", "type": "string"}, '"on"'),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "boolean or null"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"type": "array"}, "list of any JSON"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({}, "any JSON"),
    ],
)
def test_a_kind_is_said_in_words(schema, words):
    assert "".join(word.text for word in kind_of(schema)) == words


def test_a_kind_leads_to_the_shape_that_it_names():
    kind = kind_of({"type": "array", "items": {"$ref": "#/components/schemas/PageOut_MessageOut_"}})
    assert kind == [Word("list of "), Word("PageOut MessageOut", "PageOut_MessageOut_")]


@pytest.mark.parametrize("root", ROOTS)
def test_every_operation_of_the_schema_has_its_line_and_every_shape_is_there(client, root, db):
    schema = ROOTS[root].get_openapi_schema()
    shown = parse(client.get(f"{root}/docs").content)
    lines = [[part.text for part in one.elements[:2]] for one in shown.all("summary") if one.all(css_class="method")]
    told = [[method.upper(), path] for path, methods in schema["paths"].items() for method in methods]
    assert sorted(lines) == sorted(told)
    for name in schema["components"]["schemas"]:
        assert shown.by_id(f"shape-{name}")


@pytest.mark.parametrize("root", ROOTS)
def test_every_link_within_the_page_leads_somewhere_and_no_id_is_there_twice(client, root, db):
    shown = parse(client.get(f"{root}/docs").content)
    ids = [one.attrs["id"] for one in shown.all() if "id" in one.attrs]
    assert len(ids) == len(set(ids))
    links = {one.attrs["href"].removeprefix("#") for one in shown.all("a") if one.attrs["href"].startswith("#")}
    assert links <= set(ids)


def test_an_operation_says_what_goes_in_and_what_comes_out(client, db):
    inside = parse(client.get("/api/v1/docs").content).by_id("append_messages")
    assert "all are stored or none" in inside.text
    assert [row.text for row in inside.all("tr")][1].startswith("session_id")
    facts = dict(zip([one.text for one in inside.all("dt")], [one.text for one in inside.all("dd")], strict=True))
    assert facts["Body"] == "MessageIn or MessagesIn"
    assert facts["201"] == "AppendedOut"
    assert {"401", "404", "422"} <= set(facts["Errors"].split(", "))


def test_the_line_for_the_shell_is_one_that_a_shell_reads():
    found = {
        one.anchor: one for group in groups(native.get_openapi_schema(), root="http://h") for one in group.operations
    }
    words = shlex.split(found["append_messages"].curl.replace("\\\n", " "))
    assert words[:4] == ["curl", "-X", "POST", "http://h/api/v1/sessions/$session_id/messages"]
    assert '"role": "user"' in words[-1]


def test_what_may_be_read_is_opened_by_who_is_signed_in_and_only_by_them(client, db):
    assert not parse(client.get("/api/v1/docs").content).by_id("list_sessions").all("a", "button")
    client.force_login(make_user("anna"))
    link = parse(client.get("/api/v1/docs").content).by_id("list_sessions").one("a", "button").attrs["href"]
    assert client.get(link).status_code == HTTPStatus.OK


def test_shapes_have_their_fields_with_what_is_required():
    shape = next(one for one in shapes(native.get_openapi_schema()) if one.name == "AckIn")
    assert [(one.name, one.is_required) for one in shape.fields] == [("obeyed", True), ("detail", False)]
    assert '"obeyed": true' in shape.example
