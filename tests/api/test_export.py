"""Exports at the native door: files, whole, in four formats."""

import pytest

from tests.factories import make_message, make_session


@pytest.fixture
def session(owner):
    session = make_session(owner, title="Faster")
    make_message(session, content="kept")
    return session


def fetch(agent, session, query=""):
    return agent.client.get(f"/api/v1/sessions/{session.uuid}/export{query}", headers=agent.headers)


@pytest.mark.parametrize(
    ("query", "kind", "ending"),
    [
        ("", "application/json", "json"),
        ("?format=json", "application/json", "json"),
        ("?format=jsonl", "application/jsonl", "jsonl"),
        ("?format=markdown", "text/markdown; charset=utf-8", "md"),
        ("?format=html", "text/html; charset=utf-8", "html"),
    ],
)
def test_each_format_is_a_file(agent, session, query, kind, ending):
    response = fetch(agent, session, query)
    body = b"".join(response)

    assert (response.status_code, response.headers["Content-Type"]) == (200, kind)
    assert response.headers["Content-Disposition"] == f'attachment; filename="session-{session.uuid}.{ending}"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert b"kept" in body


def test_without_a_word_it_is_one_json_object(agent, session):
    whole = agent.get(f"sessions/{session.uuid}/export")

    assert whole["session"]["id"] == str(session.uuid)
    assert [row["content"] for row in whole["message"]] == ["kept"]


def test_a_deleted_session_is_exported_too(agent, session):
    agent.delete(f"sessions/{session.uuid}")

    assert agent.get(f"sessions/{session.uuid}/export")["session"]["status"] == "DELETED"


def test_another_format_is_refused(agent, session):
    refused = agent.get(f"sessions/{session.uuid}/export?format=pdf")

    assert (refused.status, refused.fields) == (422, ["format"])
