"""Bad input to the native door: a clear error that names what is wrong, and nothing of it is stored."""

import pytest
from django.apps import apps

from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db
MEGABYTE = 1024 * 1024
OTHERS = {"apikey", "lease", "storedanswer"}
"""Records of the calls themselves: when a key was last used is not part of what it says."""


def all_rows() -> dict[str, list[dict]]:
    """Return every row of every table of ours."""
    models = [
        model for model in apps.get_app_config("koda_sessions").get_models() if model._meta.model_name not in OTHERS
    ]
    return {model._meta.model_name: list(model.objects.order_by("pk").values()) for model in models}


def answer(request_id: str, decision: str = "approve") -> dict:
    return {"type": "approval_response", "id": request_id, "decision": {"decision": decision}}


FINE = {"type": "info", "message": "beside it"}
CASES = [
    ("an event without a type", "events", {"events": [FINE, {"message": "x"}]}, 422, ["events.1.type"]),
    (
        "a turn_end without a start",
        "events", {"events": [FINE, {"type": "turn_end", "turn_id": "u", "reason": {"kind": "complete"}}]},
        422, ["events.1.turn_id"],
    ),
    ("an answer to a request that is closed", "commands", answer("closed"), 409, []),
    ("an answer to a request that is unknown", "commands", answer("ghost"), 404, []),
    ("a decision that there is not", "commands", answer("open", "perhaps"), 422, ["decision.decision"]),
    ("an approval for a question", "commands", answer("question"), 422, ["type"]),
    ("a word for an approval", "commands", {"type": "ask_user_response", "id": "open", "answer": "yes"}, 422, ["type"]),
    ("a cap decided oddly", "commands", {"type": "loop_decision", "action": "continue9"}, 422, ["action"]),
    ("a loop decision without a cap", "commands", {"type": "loop_decision", "action": "stop"}, 404, []),
    ("a preserve_count below zero", "compact", {"summary": "s", "preserve_count": -1}, 422, ["preserve_count"]),
    (
        "a negative token count",
        "messages", {"messages": [{"role": "user", "content": "a"},
                                  {"role": "assistant", "content": "b", "usage": {"thinking_tokens": -1}}]},
        422, ["messages.1.usage.thinking_tokens"],
    ),
    ("a summary of 20 MB", "compact", {"summary": "x" * (20 * MEGABYTE), "preserve_count": 0}, 413, []),
]  # fmt: skip


@pytest.fixture
def path(owner):
    session = make_session(owner)
    make_events(session, {"type": "turn_start", "turn_id": "t"}, {"type": "approval_request", "id": "closed"})
    make_events(session, {"type": "text_delta", "text": "I went on"})
    make_events(session, {"type": "approval_request", "id": "open"}, {"type": "ask_user_request", "id": "question"})
    make_message(session)
    return f"sessions/{session.uuid}"


@pytest.mark.parametrize(("where", "body", "status", "fields"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_it_is_refused_by_name_and_no_table_changes(agent, path, where, body, status, fields):
    before = all_rows()
    refused = agent.post(f"{path}/{where}", body)
    assert (refused.status, refused.fields) == (status, fields)
    assert refused["detail"]
    assert all_rows() == before


def test_the_limit_that_a_summary_is_over_is_said(agent, path):
    body = {"summary": "x" * (20 * MEGABYTE), "preserve_count": 0}
    assert "16,777,216 bytes" in agent.post(f"{path}/compact", body)["detail"]
