"""/purges: any policy through the API, and the receipts."""

import pytest

from sessions.models import Session
from tests.api.calling import agent_of
from tests.factories import make_events, make_message, make_session, make_user
from tests.retention.words import NOW, days_ago

pytestmark = pytest.mark.django_db
STALE = {"policy": "stale", "ttl_hours": 24}


@pytest.fixture(autouse=True)
def _noon(time_machine):
    time_machine.move_to(NOW, tick=False)


def test_a_purge_is_previewed_made_and_receipted(agent, owner):
    make_session(owner, now=days_ago(9), source="ops", project_root="/srv/app")
    make_session(owner, now=days_ago(9))
    wanted = {**STALE, "source": "ops", "project_root": "/srv/app"}
    found = agent.post("purges", {**wanted, "dry_run": True})
    assert (found.status, found["session_count"], found["receipt"], found["dry_run"]) == (200, 1, None, True)
    done = agent.post("purges", wanted)
    assert (done["counts"]["sessions"], done["session_count"], done["kept"]) == (1, 1, 0)
    (receipt,) = agent.get("purges")["items"]
    assert receipt["id"] == done["receipt"]
    assert receipt["rule"] == "not used for more than 24 hours, project /srv/app, source ops"
    assert receipt["by"] == f"key:{agent.key.record.pk}"
    assert receipt["counts"] == done["counts"]
    assert agent.post("purges", wanted)["receipt"] is None
    assert Session.objects.count() == 1


def test_only_the_sessions_of_the_keys_user_are_purged_for_staff_too(owner):
    theirs = make_session(owner, now=days_ago(9))
    staff = agent_of(make_user(is_staff=True))
    assert staff.post("purges", STALE)["session_count"] == 0
    assert Session.objects.get() == theirs
    agent_of(owner).post("purges", STALE)
    assert staff.get("purges")["items"] == []


def test_events_go_and_messages_stay(agent, owner, time_machine):
    session = make_session(owner)
    make_message(session)
    make_events(session, {"type": "text_delta", "text": "hello"}, now=days_ago(9))
    assert agent.post("purges", {"policy": "events", "older_than_days": 3})["counts"] == {"events": 1}
    assert session.messages.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"policy": "all", "older_than_days": 1}, "policy"),
        ({"policy": "stale"}, "ttl_hours"),
        ({"policy": "stale", "ttl_hours": -1}, "ttl_hours"),
        ({"policy": "stale", "ttl_hours": 0}, "ttl_hours"),
        ({"policy": "stale", "ttl_hours": "9"}, "ttl_hours"),
        ({"policy": "stale", "ttl_hours": 1, "older_than_days": 1}, "older_than_days"),
        ({"policy": "events", "ttl_hours": 1}, "older_than_days"),
        ({"policy": "deleted", "older_than_days": 36_501}, "older_than_days"),
        ({"policy": "deleted", "older_than_days": 1, "include_running": True}, "include_running"),
        ({"policy": "deleted", "older_than_days": 1, "projct": "/a"}, "projct"),
    ],
)
def test_bad_input_is_refused(agent, owner, body, field):
    make_session(owner, now=days_ago(9))
    answer = agent.post("purges", body)
    assert (answer.status, answer.fields) == (422, [field])
    assert Session.objects.exists()


def test_no_hours_at_all_are_taken_when_forced(agent, owner):
    make_session(owner, now=days_ago(1))
    assert agent.post("purges", {"policy": "stale", "ttl_hours": 0, "force": True})["session_count"] == 1
