"""A copy of all that is kept of a session, a fork, and compaction by a person."""

import json

import pytest
from django.test import AsyncClient

from sessions import checkpoints
from sessions.models import Session
from tests.api.stakpak.calling import user
from tests.factories import make_message, make_session, make_user
from tests.test_checkpoints import messages_of, state_of
from tests.web.conftest import signed_in
from tests.web.markup import parse


def path(session, rest=""):
    return f"/sessions/{session.uuid}/{rest}"


def test_an_export_is_a_file_of_lines(owner, reader):
    session = make_session(owner)
    make_message(session, content="kept")
    response = reader.get(path(session, "export/?format=jsonl"))
    body = b"".join(response.streaming_content)
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["record"] for line in lines[:2]] == ["session", "message"]
    assert lines[1]["content"] == "kept"
    assert response.headers["Content-Disposition"] == f'attachment; filename="session-{session.uuid}.jsonl"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_four_formats_are_offered_and_each_is_a_file(owner, reader):
    session = make_session(owner)
    make_message(session, content="kept")
    page = parse(reader.get(path(session, "export/")).content)
    links = [link.attrs["href"] for link in page.one("main").all("a") if "download" in link.attrs]
    assert links == ["?format=json", "?format=jsonl", "?format=markdown", "?format=html"]
    found = {}
    for link in links:
        response = reader.get(path(session, f"export/{link}"))
        assert b"kept" in b"".join(response.streaming_content)
        found[response.headers["Content-Type"]] = response.headers["Content-Disposition"].rpartition(".")[2]
    assert found == {
        "application/json": 'json"', "application/jsonl": 'jsonl"', "text/markdown; charset=utf-8": 'md"',
        "text/html; charset=utf-8": 'html"',
    }  # fmt: skip
    assert reader.get(path(session, "export/?format=pdf")).headers["Content-Type"].startswith("text/html")


@pytest.mark.django_db(transaction=True)
async def test_a_server_that_is_async_sends_it_whole_piece_by_piece():
    from asgiref.sync import sync_to_async

    session = await sync_to_async(make_session)(visibility="PUBLIC")
    await sync_to_async(make_message)(session, content="x" * 600_000)
    response = await AsyncClient().get(path(session, "export/?format=jsonl"))
    pieces = [piece async for piece in response.streaming_content]
    lines = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [line["record"] for line in lines[:2]] == ["session", "message"]
    assert lines[1]["content"] == "x" * 600_000
    assert [len(piece) > 600_000 for piece in pieces][:2] == [False, True]


@pytest.mark.parametrize("visibility", ["PRIVATE", "PUBLIC"])
def test_who_may_read_may_take_a_copy_and_nobody_else(owner, visibility):
    session = make_session(owner, visibility=visibility)
    for query in ("", "?format=html"):
        response = signed_in(make_user()).get(path(session, f"export/{query}"))
        list(response)
        assert response.status_code == (200 if visibility == "PUBLIC" else 404)


def test_a_person_compacts_with_a_plain_form(owner, reader):
    session = make_session(owner)
    for number in range(5):
        make_message(session, content=str(number))
    asked = parse(reader.get(path(session, "compact/")).content)
    assert "has 5 messages in its context" in asked.one("main").text
    response = reader.post(path(session, "compact/"), {"keep": "2", "summary": "Counted."}, follow=True)
    assert "Archived 3 messages." in parse(response.content).by_id("status").text
    assert [m.content for m in session.messages.unarchived().order_by("pk")][:3] == ["3", "4", "Counted."]
    assert session.events.get(type="server.compacted").payload["by"] == f"user:{owner.pk}"


def test_a_form_that_is_sent_twice_compacts_once(owner, reader):
    session = make_session(owner)
    for number in range(5):
        make_message(session, content=str(number))
    seen = parse(reader.get(path(session, "compact/")).content).one("input", name="seen").attrs["value"]
    once = {"keep": "2", "summary": "Counted.", "seen": seen}
    assert reader.post(path(session, "compact/"), once).status_code == 302
    again = parse(reader.post(path(session, "compact/"), once).content)
    assert "nothing more was archived" in again.by_id("status").text
    assert again.one("textarea", name="summary").text == "Counted."
    assert [m.content for m in session.messages.unarchived().order_by("pk")][:3] == ["3", "4", "Counted."]
    on_purpose = {**once, "seen": again.one("input", name="seen").attrs["value"]}
    assert reader.post(path(session, "compact/"), on_purpose).status_code == 302


@pytest.mark.parametrize("body", [{"keep": "-1", "summary": "x"}, {"keep": "1", "summary": " "}, {"keep": "x"}, {}])
def test_what_is_not_clear_archives_nothing_and_says_why(owner, reader, body):
    session = make_session(owner)
    make_message(session)
    make_message(session)
    shown = parse(reader.post(path(session, "compact/"), body).content)
    assert shown.one("div", "note", role="alert").text
    assert session.messages.archived().count() == 0


def test_who_may_only_read_compacts_nothing(owner):
    session = make_session(owner, visibility="PUBLIC")
    make_message(session)
    someone = signed_in(make_user())
    assert someone.get(path(session, "compact/")).status_code == 403
    assert someone.post(path(session, "compact/"), {"keep": "0", "summary": "x"}).status_code == 403
    assert session.messages.archived().count() == 0
    actions = parse(someone.get(path(session)).content).one("div", "actions")
    assert [link.text for link in actions.all("a")] == ["Export"]


def test_a_person_forks_the_whole_session_after_a_question(owner, reader):
    session = make_session(owner, title="Count")
    for number in range(3):
        make_message(session, content=f"say {number}")
    page = parse(reader.get(path(session)).content)
    (link,) = [link.attrs["href"] for link in page.one("div", "actions").all("a") if link.text == "Fork…"]
    assert link == path(session, "fork/")
    assert "all 3 messages" in parse(reader.get(link).content).one("main").text
    assert Session.objects.count() == 1
    response = reader.post(link)
    made = Session.objects.exclude(pk=session.pk).get()
    assert response.headers["Location"] == path(made)
    assert (made.title, made.parent, made.message_count) == ("Fork of Count", session, 3)


def test_a_fork_from_a_message_ends_with_that_message(owner, reader):
    session = make_session(owner)
    told = [make_message(session, content=f"say {number}") for number in range(3)]
    page = parse(reader.get(path(session, f"?at={told[1]}")).content)
    (link,) = [link.attrs["href"] for link in page.one("div", "actions").all("a") if link.text == "Fork…"]
    asked = parse(reader.get(link).content).one("main")
    assert "with the 2 messages" in asked.text
    assert "say 1" in asked.one("blockquote").text
    reader.post(link)
    made = Session.objects.exclude(pk=session.pk).get()
    assert [message.content for message in made.messages.order_by("pk")] == ["say 0", "say 1"]


def test_a_session_of_checkpoints_is_forked_from_its_newest_one(owner, reader):
    first = checkpoints.begin(owner=owner, source="s", title="t", state=state_of([user("make it fast")]), by="test")
    reader.post(path(first.session, "fork/"))
    made = Session.objects.exclude(pk=first.session_id).get()
    assert messages_of(made.active_checkpoint) == [user("make it fast")]


@pytest.mark.parametrize("query", ["?at=999999999", "?at=0"])
def test_a_fork_from_a_message_that_is_not_there_is_not_found(owner, reader, query):
    session = make_session(owner)
    make_message(make_session(owner), content="of another")
    assert reader.get(path(session, f"fork/{query}")).status_code == 404
    assert reader.post(path(session, f"fork/{query}")).status_code == 404
    assert Session.objects.count() == 2
