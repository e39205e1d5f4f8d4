"""retention: events that agents sent long ago."""

import pytest

from sessions import retention
from sessions.models import Receipt, Usage
from sessions.retention import Policy, Rule
from tests.factories import make_session
from tests.message_drafts import append, user
from tests.purging import purge
from tests.retention.words import NOW, days_ago, places_of, speak, tell

pytestmark = pytest.mark.django_db
OLD, YOUNG = "qzvaxolotl", "qzwombatty"


@pytest.fixture
def session():
    session = make_session(title="Animals", source="ops", project_root="/srv/app")
    speak(session, OLD, at=days_ago(40))
    speak(session, YOUNG, at=days_ago(2))
    return session


def figures(session):
    session.refresh_from_db()
    names = ("message_count", "turn_count", "tool_call_count", "tool_success_count", "api_call_count", "total_tokens")
    return [getattr(session, name) for name in names], list(session.turns.values()), list(Usage.objects.values())


def test_what_was_told_before_goes_and_turns_messages_and_figures_stay(session):
    before = figures(session)
    purged = purge("events", 30, now=NOW)
    assert purged.counts["events"] == 10
    assert figures(session) == before
    assert session.messages.count() == 6
    told = session.events.told_by_agents()
    assert {event.received_at for event in told} == {days_ago(2)}
    assert session.events.exclude(pk__in=told).filter(received_at=days_ago(40)).exists(), "the server's own stay"


def test_old_words_are_left_only_where_messages_say_them(session):
    purge("events", 30, now=NOW)
    session.messages.filter(content__contains=OLD).delete()
    session.tool_calls.filter(message=None, result_message=None, call_id="turn-0-call").delete()
    assert places_of(OLD) <= {"fulltext_data"}, "the log had copies"
    assert {"event", "message", "toolcall", "request", "command", "searchentry"} <= places_of(YOUNG)


def test_a_call_that_only_the_log_told_keeps_its_name_and_outcome(session):
    purge("events", 30, now=NOW)
    lone = session.tool_calls.get(call_id="turn-0-lone")
    assert (lone.name, lone.outcome, lone.args, lone.detail) == ("Grep", "success", None, "")
    assert session.tool_calls.get(call_id="turn-1-lone").args == {"pattern": YOUNG}


def test_the_log_says_up_to_where_it_was_purged(session):
    purge("events", 30, now=NOW, by="key:7")
    event = session.events.get(type="server.events_purged")
    newest = session.events.filter(type="turn_end").earliest("seq")
    assert event.payload["by"] == "key:7"
    assert event.payload["up_to"] < newest.seq
    gone = session.events.told_by_agents().filter(seq__lte=event.payload["up_to"])
    assert not gone.exists()


def test_a_repeat_of_what_was_purged_is_still_known(session):
    purge("events", 30, now=NOW)
    before = session.events.count()
    tell(session, {"type": "thinking_delta", "text": OLD, "event_id": "turn-0-thought"}, at=NOW)
    assert session.events.count() == before


def test_the_preview_says_what_goes_and_changes_nothing(session):
    make_session()
    rule = Rule(policy=Policy.EVENTS, age=30)
    found = retention.preview(rule, now=NOW)
    assert (found.count, found.session_count, found.newest) == (10, 1, days_ago(40))
    assert [(one.session, one.count) for one in found.largest] == [(session, 10)]
    purged = purge("events", 30, now=NOW)
    assert (purged.counts["events"], purged.size) == (found.count, found.size)
    assert retention.preview(rule, now=NOW).count == 0


@pytest.mark.parametrize(
    ("facts", "count"),
    [({"source": "ops"}, 10), ({"source": "other"}, 0), ({"project": "/srv/app"}, 10), ({"project": "/srv"}, 0)],
)
def test_it_is_narrowed_by_source_and_project(session, facts, count):
    assert purge("events", 30, now=NOW, **facts).counts.get("events", 0) == count


def test_a_second_purge_finds_nothing_and_leaves_no_receipt(session):
    purge("events", 30, now=NOW)
    assert not purge("events", 30, now=NOW).receipt.is_kept
    assert Receipt.objects.count() == 1


def test_a_session_that_works_goes_on_working(session):
    tell(session, {"type": "turn_start", "turn_id": "now"}, at=NOW)
    tell(
        session, {"type": "tool_call_start", "id": "open", "name": "Bash", "args": {"command": "make"}},
        {"type": "approval_request", "id": "may", "tool_name": "Bash", "detail": "make"}, at=NOW,
    )  # fmt: skip
    purge("events", 0, now=days_ago(-1))
    assert not session.events.told_by_agents().exists()
    assert session.tool_calls.get(call_id="open").args == {"command": "make"}
    assert session.requests.open().get().detail == "make"
    tell(session, {"type": "tool_call_result", "id": "open", "name": "Bash", "output": "done"}, at=days_ago(-2))
    session.refresh_from_db()
    assert session.is_running
    assert session.tool_calls.get(call_id="open").outcome == "success"
    append(session, user("next"))
