"""POST and GET /sessions, GET, PATCH and DELETE /sessions/{id}."""

import uuid

import pytest

from sessions.models import Event, Session
from tests.api.calling import agent_of
from tests.factories import make_message, make_session, make_user

pytestmark = pytest.mark.django_db
FIELDS = {
    "id", "key", "source", "agent_name", "project_root", "title", "visibility", "status", "mode", "model", "provider",
    "parent_id", "parent_tool_call_id", "state", "turn_id", "turn_started_at", "liveness", "liveness_since",
    "liveness_reason", "needs", "created_at", "updated_at", "last_activity_at", "message_count", "total_tokens",
    "active_checkpoint_id", "last_seq", "loop", "stuck_after_secs", "liveness_seq", "next_check_at",
}  # fmt: skip


def test_a_session_is_made_of_what_was_said_and_belongs_to_the_keys_user_and_source(agent, owner):
    answer = agent.post("sessions", {"agent_name": "koda", "project_root": "/srv/x", "title": "T", "key": "k"})

    assert answer.status == 201
    assert answer.body.keys() == FIELDS
    stored = Session.objects.get()
    assert (str(stored.uuid), stored.owner, stored.source) == (answer["id"], owner, "laptop")
    assert (answer["title"], answer["project_root"], answer["key"]) == ("T", "/srv/x", "k")
    assert (answer["visibility"], answer["status"], answer["state"]) == ("PRIVATE", "ACTIVE", "idle")
    assert answer["created_at"].endswith("+00:00")
    assert len(answer["created_at"]) == len("2026-03-15T09:26:53.589793+00:00")
    assert [event.type for event in Event.objects.all()] == ["server.session_created"]


def test_the_clients_own_id_is_kept_and_an_equal_repeat_answers_with_the_session(agent):
    body = {"id": str(uuid.uuid4()), "agent_name": "koda", "title": "T"}

    first, again = agent.post("sessions", body), agent.post("sessions", body)

    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert first["id"] == body["id"]
    assert Session.objects.count() == 1


def test_an_id_that_is_taken_is_a_conflict_that_says_not_by_whom(agent):
    taken = make_session(make_user("eve"), agent_name="koda")

    answer = agent.post("sessions", {"id": str(taken.uuid), "agent_name": "koda"})

    assert (answer.status, answer["code"]) == (409, "conflict")
    assert "eve" not in answer["detail"]


def test_an_id_of_ones_own_with_another_body_is_a_conflict(agent):
    body = {"id": str(uuid.uuid4()), "agent_name": "koda"}
    agent.post("sessions", body)

    assert agent.post("sessions", {**body, "title": "Other"}).status == 409


def test_the_key_of_a_session_is_unique_in_its_source_only(agent, owner):
    agent.post("sessions", {"agent_name": "koda", "key": "telegram/1"})

    assert agent.post("sessions", {"agent_name": "koda", "key": "telegram/1"}).status == 409
    assert agent_of(owner, source="desk").post("sessions", {"agent_name": "koda", "key": "telegram/1"}).status == 201


def test_a_child_names_its_parent(agent, owner):
    parent = make_session(owner)

    answer = agent.post("sessions", {"agent_name": "scout", "parent_id": str(parent.uuid), "parent_tool_call_id": "c1"})

    assert answer["parent_id"] == str(parent.uuid)
    assert agent.get(f"sessions?parent_id={parent.uuid}")["items"] == [answer.body]


def test_a_parent_that_nobody_may_see_is_a_wrong_field(agent):
    hidden = make_session(make_user("eve"))

    answer = agent.post("sessions", {"agent_name": "scout", "parent_id": str(hidden.uuid)})

    assert (answer.status, answer.fields) == (422, ["parent_id"])
    assert Session.objects.count() == 1


def test_nobody_may_make_children_of_what_is_somebody_elses(agent):
    public = make_session(make_user("eve"), visibility="PUBLIC")

    assert agent.post("sessions", {"agent_name": "scout", "parent_id": str(public.uuid)}).status == 403


def test_the_parent_of_a_public_session_is_named_only_to_who_may_see_it(agent):
    eve = make_user("eve")
    hidden, shown = make_session(eve), make_session(eve, visibility="PUBLIC")
    child = make_session(eve, visibility="PUBLIC", parent=hidden, state="running", turn_started_at="2026-03-15T09:00Z")
    sibling = make_session(eve, visibility="PUBLIC", parent=shown)

    for asking, parent in (
        (agent, None),
        (agent_of(eve), str(hidden.uuid)),
        (agent_of(make_user("root", is_staff=True)), str(hidden.uuid)),
    ):
        assert asking.get(f"sessions/{child.uuid}")["parent_id"] == parent
        for path in ("sessions", "sessions/running", "sessions/stuck?threshold_secs=1"):
            listed = {one["id"]: one["parent_id"] for one in asking.get(path)["items"]}
            assert listed[str(child.uuid)] == parent, path
        found = asking.get(f"sessions?parent_id={hidden.uuid}")["items"]
        assert [one["id"] for one in found] == ([str(child.uuid)] if parent else [])
    assert agent.get(f"sessions/{sibling.uuid}")["parent_id"] == str(shown.uuid)
    assert [one["id"] for one in agent.get(f"sessions?parent_id={shown.uuid}")["items"]] == [str(sibling.uuid)]


def test_what_this_server_does_not_know_of_a_session_is_passed_over(agent):
    assert agent.post("sessions", {"agent_name": "koda", "colour": "blue"}).status == 201


def test_kodas_older_words_for_the_mode_are_understood(agent):
    assert agent.post("sessions", {"agent_name": "koda", "mode": "confirm"})["mode"] == "safe"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "agent_name"),
        ({"agent_name": ""}, "agent_name"),
        ({"agent_name": 7}, "agent_name"),
        ({"agent_name": "a\x00b"}, "agent_name"),
        ({"agent_name": "a\ud800b"}, "agent_name"),
        ({"agent_name": "k", "title": "\x00"}, "title"),
        ({"agent_name": "k", "project_root": "/\udfff"}, "project_root"),
        ({"agent_name": "k", "key": "\x00"}, "key"),
        ({"agent_name": "k", "key": ""}, "key"),
        ({"agent_name": "k", "key": "x" * 1025}, "key"),
        ({"agent_name": "k", "title": "x" * 2001}, "title"),
        ({"agent_name": "k", "id": "seven"}, "id"),
        ({"agent_name": "k", "visibility": "SECRET"}, "visibility"),
        ({"agent_name": "k", "mode": "wild"}, "mode"),
        ({"agent_name": "k", "parent_id": "x"}, "parent_id"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(agent, body, field):
    answer = agent.post("sessions", body)

    assert (answer.status, answer["code"], answer.fields) == (422, "invalid_request", [field])
    assert not Session.objects.exists()


def test_a_session_reads_back_as_it_was_answered(agent):
    made = agent.post("sessions", {"agent_name": "koda"})

    assert agent.get(f"sessions/{made['id']}").body == made.body
    assert agent.get(f"sessions/{made['id'].upper()}").body == made.body


@pytest.mark.parametrize("name", ["00000000-0000-0000-0000-000000000000", "seven", "%00", "9" * 400])
def test_an_id_that_names_nothing_is_not_found(agent, name):
    assert agent.get(f"sessions/{name}").status == 404


def test_only_what_is_sent_is_changed(agent, owner):
    session = make_session(owner, title="Old", model="m1")

    answer = agent.patch(f"sessions/{session.uuid}", {"title": "New", "visibility": "PUBLIC"})

    assert (answer["title"], answer["visibility"], answer["model"]) == ("New", "PUBLIC", "m1")
    edited = session.events.get(type="server.session_edited")
    assert edited.payload == {"changes": {"title": "New", "visibility": "PUBLIC"}, "by": f"key:{agent.key.record.pk}"}


@pytest.mark.parametrize("title", ["", None])
def test_an_empty_title_at_creation_is_none_and_the_first_prompt_makes_one(agent, title):
    body = {"agent_name": "koda", "id": str(uuid.uuid4()), "title": title}
    made = agent.post("sessions", body)
    assert (made.status, made["title"]) == (201, None)
    agent.post(f"sessions/{made['id']}/messages", {"role": "user", "content": "hello world"})
    assert agent.get(f"sessions/{made['id']}")["title"] == "hello world"
    assert agent.post("sessions", body).status == 200


def test_a_title_is_cleared_with_null(agent, owner):
    session = make_session(owner, title="Old")

    assert agent.patch(f"sessions/{session.uuid}", {"title": None})["title"] is None


@pytest.mark.parametrize("changes", [{"state": "idle"}, {"titel": "x"}, {"visibility": None}, {"visibility": "ALL"}])
def test_what_cannot_be_changed_is_refused_rather_than_passed_over(agent, owner, changes):
    session = make_session(owner, title="Old")

    answer = agent.patch(f"sessions/{session.uuid}", changes)

    assert (answer.status, answer.fields) == (422, list(changes))
    assert session.events.count() == 1


def test_a_deleted_session_leaves_the_list_and_still_reads(agent, owner):
    session = make_session(owner)

    assert agent.delete(f"sessions/{session.uuid}").body == {"deleted": True}
    assert agent.delete(f"sessions/{session.uuid}").body == {"deleted": False}
    assert agent.get("sessions")["items"] == []
    assert agent.get(f"sessions/{session.uuid}")["status"] == "DELETED"
    assert len(agent.get("sessions?status=ALL")["items"]) == len(agent.get("sessions?status=DELETED")["items"]) == 1


def test_a_permanent_delete_removes_all_below(agent, owner):
    session = make_session(owner)
    make_message(session)
    make_session(owner, parent=session)

    assert agent.delete(f"sessions/{session.uuid}?permanent=true").body == {"deleted": True}
    assert not Session.objects.exists()
    assert agent.delete(f"sessions/{session.uuid}?permanent=true").status == 404
