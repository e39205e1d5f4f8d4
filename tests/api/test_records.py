"""Metadata, to-do, files, compaction and what it archived."""

import pytest

from sessions.models import Message, Session
from tests.api.calling import agent_of
from tests.factories import make_message, make_session, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(owner):
    return make_session(owner)


@pytest.fixture
def path(session):
    return f"sessions/{session.uuid}"


@pytest.mark.parametrize("name", ["progress", "a/b", "a.b:c", "%20x%C3%A9%E6%97%A5", "...", "a%0Ab", "%0A"])
def test_metadata_is_set_read_and_removed(agent, path, name):
    assert agent.get(f"{path}/metadata/{name}").status == 404
    assert agent.put(f"{path}/metadata/{name}", {"value": "one"}).body == {"value": "one"}
    agent.put(f"{path}/metadata/{name}", {"value": ""})

    assert agent.get(f"{path}/metadata/{name}").body == {"value": ""}
    assert agent.delete(f"{path}/metadata/{name}").body == {"deleted": True}
    assert agent.delete(f"{path}/metadata/{name}").body == {"deleted": False}
    assert agent.get(f"{path}/metadata").body == {"items": []}


def test_metadata_lists_by_key_with_times(agent, path):
    for key in "ba":
        agent.put(f"{path}/metadata/{key}", {"value": key.upper()})

    items = agent.get(f"{path}/metadata")["items"]
    assert [(item["key"], item["value"]) for item in items] == [("a", "A"), ("b", "B")]
    assert items[0]["updated_at"].endswith("+00:00")


def test_broken_characters_are_replaced_in_a_value_and_refused_in_a_key(agent, path):
    agent.put(f"{path}/metadata/k", {"value": "a\x00\ud800"})

    assert agent.get(f"{path}/metadata/k")["value"] == "a\ufffd\ufffd"
    refused = agent.put(f"{path}/metadata/%00", {"value": "x"})
    assert (refused.status, refused.fields) == (422, ["key"])


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": 7}])
def test_a_value_is_text(agent, path, body):
    answer = agent.put(f"{path}/metadata/k", body)

    assert (answer.status, answer.fields) == (422, ["value"])


def test_the_todo_list_is_replaced_as_a_whole_and_cleared_with_null(agent, path):
    assert agent.get(f"{path}/todo").body == {"content": None}

    agent.put(f"{path}/todo", {"content": "- [ ] one"})
    assert agent.get(f"{path}/todo").body == agent.put(f"{path}/todo", {"content": "- [ ] one"}).body
    assert agent.get(f"{path}/metadata/todo")["value"] == "- [ ] one"
    assert agent.put(f"{path}/todo", {"content": None}).body == {"content": None}
    assert agent.get(f"{path}/todo").body == {"content": None}
    assert agent.put(f"{path}/todo", {}).status == 422


def test_a_file_is_owned_once_and_forgotten(agent, path):
    assert agent.put(f"{path}/files", {"path": "/x/é"}).body == {"added": True}
    assert agent.put(f"{path}/files", {"path": "/x/é"}).body == {"added": False}
    agent.put(f"{path}/files", {"path": "/y"})

    first = agent.get(f"{path}/files?limit=1")
    rest = agent.get(f"{path}/files?limit=1&cursor={first['next_cursor']}")
    assert [item["path"] for page in (first, rest) for item in page["items"]] == ["/x/é", "/y"]
    assert rest["next_cursor"] is None
    assert agent.delete(f"{path}/files", {"path": "/y"}).body == {"deleted": True}
    assert agent.delete(f"{path}/files", {"path": "/y"}).body == {"deleted": False}
    assert agent.put(f"{path}/files", {"path": "\x00"}).status == 422


def test_a_compaction_archives_all_but_the_last(agent, path, session):
    for n in range(6):
        make_message(session, content=str(n))

    answer = agent.post(f"{path}/compact", {"summary": "so far", "preserve_count": 2})

    assert (answer.status, answer.body) == (200, {"compacted": 4})
    contents = [item["content"] for item in agent.get(f"{path}/messages?view=context")["items"]]
    assert contents[:3] == ["4", "5", "so far"]
    assert agent.post(f"{path}/compact", {"summary": "again", "preserve_count": 99}).body == {"compacted": 0}


@pytest.mark.parametrize(
    ("body", "field"),
    [({"summary": "s"}, "preserve_count"), ({"summary": "s", "preserve_count": -1}, "preserve_count"),
     ({"summary": "s", "preserve_count": "4"}, "preserve_count"), ({"preserve_count": 1}, "summary")],
)  # fmt: skip
def test_a_compaction_that_cannot_be_is_refused(agent, path, session, body, field):
    make_message(session)

    answer = agent.post(f"{path}/compact", body)

    assert (answer.status, answer.fields) == (422, [field])
    assert Message.objects.count() == 1


def test_a_summary_over_the_limit_is_too_large(agent, path, session, settings):
    settings.KODA_MAX_CONTENT = 2000
    make_message(session)

    assert agent.post(f"{path}/compact", {"summary": "x" * 2001, "preserve_count": 0}).status == 413
    assert Message.objects.count() == 1


def test_what_is_archived_is_counted_and_purged_for_its_owner_alone(agent, owner, path, session):
    other = make_user()
    theirs = make_session(other)
    for one in (session, theirs):
        make_message(one, content="é")
    agent.post(f"{path}/compact", {"summary": "s", "preserve_count": 0})
    agent_of(other).post(f"sessions/{theirs.uuid}/compact", {"summary": "s", "preserve_count": 0})

    stats = agent.get("compacted/stats").body
    oldest = stats.pop("oldest")
    assert oldest.endswith("+00:00")
    assert stats == {"message_count": 1, "session_count": 1, "size_bytes": 1, "true_size_bytes": 2}
    assert agent.post("compacted/purge", {"min_age_days": 0, "dry_run": True}).body == {"purged": 1}
    assert agent.post("compacted/purge", {"min_age_days": 1}).body == {"purged": 0}
    assert agent.post("compacted/purge", {"min_age_days": 0}).body == {"purged": 1}
    assert agent.get("compacted/stats").body == {
        "message_count": 0, "session_count": 0, "size_bytes": 0, "true_size_bytes": 0, "oldest": None,
    }  # fmt: skip
    assert Session.objects.get(pk=theirs.pk).message_count == 3


@pytest.mark.parametrize("days", [-1, 10**9, "7", None])
def test_an_age_that_is_none_is_refused(agent, days):
    answer = agent.post("compacted/purge", {"min_age_days": days})

    assert (answer.status, answer.fields) == (422, ["min_age_days"])
