"""The watchdog: due sessions judged again under their lock, and no alarm for what was the server's own silence."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError

from sessions import commands, liveness, protocol
from sessions.liveness import Watched
from sessions.models import Lease, Session
from tests.factories import make_events, make_session

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURN = {"type": "turn_start", "turn_id": "t"}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def running(**facts):
    session = make_session(**facts)
    make_events(session, TURN, now=T0)
    return session


def liveness_of(session):
    return Session.objects.get(pk=session.pk).liveness


def test_while_a_server_listens_what_is_due_is_judged():
    session = running()
    liveness.listen(now=at(55))
    assert liveness.keep_watch(now=at(60)) == Watched(due=1, changed=1, failed=0)
    assert liveness.keep_watch(now=at(60)) == Watched(due=0, changed=0, failed=0)
    assert liveness_of(session) == "quiet"


@pytest.mark.parametrize("has_ever_listened", [True, False])
def test_while_no_server_listens_silence_proves_nothing(has_ever_listened):
    session = running()
    if has_ever_listened:
        liveness.listen(now=at(0))
    assert liveness.keep_watch(now=at(3600)) == Watched(due=0, changed=0, failed=0)
    assert liveness_of(session) == "live"


def test_a_restart_shifts_every_deadline_by_its_length_and_one_interval():
    session = running()
    liveness.listen(now=at(10))
    liveness.listen(now=at(1010))
    for seconds, expected in [(1011, "live"), (1089, "live"), (1090, "quiet"), (1329, "quiet"), (1330, "stuck")]:
        liveness.watch(now=at(seconds))
        assert liveness_of(session) == expected, seconds


def test_a_heartbeat_after_a_restart_does_not_end_the_excuse_of_its_progress():
    session = running()
    protocol.heartbeat(session.pk, interval_seconds=10, now=at(5))
    liveness.listen(now=at(5))
    liveness.listen(now=at(295))
    protocol.heartbeat(session.pk, now=at(300))
    liveness.watch(now=at(300))
    assert liveness_of(session) == "live"
    liveness.watch(now=at(320))
    assert liveness_of(session) == "quiet"
    liveness.watch(now=at(390))
    assert liveness_of(session) == "lost"  # ninety seconds since its heartbeat: of that, nothing is excused


def test_a_server_that_notes_itself_in_time_excuses_nothing():
    session = running()
    for seconds in range(0, 301, 20):
        liveness.listen(now=at(seconds))
    liveness.watch(now=at(300))
    assert liveness_of(session) == "stuck"


def test_of_two_servers_that_start_at_once_one_excuses():
    session = running()
    liveness.listen(now=at(10))
    liveness.listen(now=at(1010))
    liveness.listen(now=at(1010.5))
    assert Session.objects.get(pk=session.pk).excused_seconds == 1030


def test_more_than_a_batch_is_done_in_one_pass(monkeypatch):
    monkeypatch.setattr(liveness, "WATCHED_AT_ONCE", 2)
    for _ in range(5):
        running()
    liveness.listen(now=at(60))
    assert liveness.keep_watch(now=at(60)) == Watched(due=5, changed=5, failed=0)


def test_who_is_waited_for_is_reminded_and_nothing_else_changes():
    session = running()
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(0))
    before = Session.objects.values().get(pk=session.pk)
    assert liveness.watch(now=at(3599)) == Watched(due=0, changed=0, failed=0)
    for hours, next_hours in ((1, 4), (4, 24), (24, 48), (48, 72)):
        assert liveness.watch(now=at(hours * 3600)) == Watched(due=1, changed=0, failed=0)
        event = session.events.latest("seq")
        assert (event.type, event.payload) == ("server.reminded", {"needs": "approval", "waited_secs": hours * 3600})
        row = Session.objects.values().get(pk=session.pk)
        assert row["next_deadline_at"] == at(next_hours * 3600)
    changed = {name for name in row if row[name] != before[name]}
    assert changed == {"last_seq", "revision", "next_deadline_at"}


def test_an_answer_ends_the_reminders():
    session = running()
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(0))
    answer = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
    commands.ask(session.pk, answer, by=None, now=at(10))
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}, now=at(20))
    assert liveness.watch(now=at(10**6)) == Watched(due=0, changed=0, failed=0)


def test_a_session_whose_check_fails_is_put_off_alone_and_counted(monkeypatch, caplog):
    broken, well = running(), running()
    judged = liveness.settle

    def settle(session, now):
        if session.pk == broken.pk:
            raise ZeroDivisionError
        return judged(session, now)

    monkeypatch.setattr(liveness, "settle", settle)
    assert liveness.watch(now=at(60)) == Watched(due=2, changed=1, failed=1)
    assert liveness_of(well) == "quiet"
    row = Session.objects.get(pk=broken.pk)
    assert (row.liveness, row.failed_checks, row.next_deadline_at) == ("live", 1, at(120))
    assert f"The check of session {broken.pk} failed" in caplog.text


def test_a_database_that_does_not_answer_is_no_fault_of_a_session(monkeypatch):
    session = running()

    def settle(session, now):
        raise OperationalError

    monkeypatch.setattr(liveness, "settle", settle)
    with pytest.raises(OperationalError):
        liveness.watch(now=at(60))
    assert Session.objects.get(pk=session.pk).failed_checks == 0


def test_what_was_heard_since_the_look_was_due_is_left_alone():
    session = running()
    due = Session.objects.get(pk=session.pk)
    make_events(session, {"type": "info"}, now=at(59))
    assert liveness._watch_one(due.pk, at(60)) is False
    assert liveness_of(session) == "live"


def test_an_answer_after_an_hour_starts_the_clock_anew():
    session = running()
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(10))
    assert liveness.watch(now=at(3600)) == Watched(due=0, changed=0, failed=0)
    decision = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
    commands.ask(session.pk, decision, by=None, now=at(3610))
    assert liveness_of(session) == "live"
    for seconds, expected in [(3669, "live"), (3670, "quiet"), (3910, "stuck")]:
        liveness.watch(now=at(seconds))
        assert liveness_of(session) == expected, seconds


def test_a_downtime_while_a_person_is_waited_for_is_excused_once():
    session = running()
    protocol.heartbeat(session.pk, interval_seconds=15, now=at(0))
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(0))
    liveness.excuse_downtime(silent_since=at(60), now=at(8 * 3600))
    decision = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
    commands.ask(session.pk, decision, by=None, now=at(9 * 3600))
    row = Session.objects.get(pk=session.pk)
    assert (row.excused_seconds, row.excused_silence_seconds) == (9 * 3600, 9 * 3600)
    for seconds, expected in [(29, "live"), (30, "quiet"), (89, "quiet"), (90, "lost")]:
        liveness.watch(now=at(9 * 3600 + seconds))
        assert liveness_of(session) == expected, seconds


def test_an_answer_right_after_a_downtime_excuses_no_more_than_there_was():
    session = running()
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(0))
    liveness.excuse_downtime(silent_since=at(1), now=at(1000))
    decision = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
    commands.ask(session.pk, decision, by=None, now=at(1001))
    row = Session.objects.get(pk=session.pk)
    assert (row.excused_seconds, row.excused_silence_seconds) == (1001, 1001)


def test_an_acknowledgement_is_a_sign_of_life_and_no_progress():
    session = running()
    protocol.heartbeat(session.pk, interval_seconds=15, now=at(0))
    liveness.watch(now=at(100))
    assert liveness_of(session) == "lost"
    command = commands.ask(session.pk, {"type": "interrupt"}, by=None, now=at(101))
    commands.take(session.pk, now=at(102))
    assert liveness_of(session) == "lost"  # what was handed over may have gone to a socket that is dead
    commands.acknowledge(command.pk, is_obeyed=True, now=at(103))
    row = Session.objects.get(pk=session.pk)
    assert (row.liveness, row.heard_at, row.progressed_at) == ("quiet", at(103), T0)
    kinds = list(session.events.order_by("-seq").values_list("type", flat=True)[:2])
    assert kinds == ["server.liveness_changed", "server.command_acknowledged"]
    liveness.watch(now=at(300))
    assert liveness_of(session) == "lost"
    commands.acknowledge(command.pk, is_obeyed=True, now=at(301))  # a repeat changes nothing
    assert liveness_of(session) == "lost"


def test_a_budget_of_a_heartbeat_is_its_activitys_own():
    session = running()
    protocol.heartbeat(session.pk, interval_seconds=3600, activity="test", expect_within_seconds=900, now=at(1))
    assert Session.objects.get(pk=session.pk).expected_by == at(901)
    protocol.heartbeat(session.pk, activity="test", now=at(2))
    assert Session.objects.get(pk=session.pk).expected_by == at(901)
    protocol.heartbeat(session.pk, activity="deploy", now=at(3))
    assert Session.objects.get(pk=session.pk).expected_by is None


APPROVES = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
BUDGETED = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {}, "expect_within": 900}


def assert_stuck_from(session, seconds):
    for moment, expected in [(seconds - 1, "quiet"), (seconds, "stuck")]:
        liveness.watch(now=at(moment))
        assert liveness_of(session) == expected, moment


def test_what_was_excused_does_not_lengthen_a_budget_that_is_declared_later():
    session = running()
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(0))
    commands.ask(session.pk, APPROVES, by=None, now=at(3600))
    protocol.heartbeat(session.pk, activity="Compiling", expect_within_seconds=120, now=at(3605))
    protocol.heartbeat(session.pk, now=at(3700))
    assert_stuck_from(session, 3725)


@pytest.mark.parametrize("later", [[], [{"type": "spinner_start", "message": "Running"}]])
def test_the_budget_of_an_open_call_is_moved_by_the_time_that_a_person_took(later):
    session = running()
    make_events(session, BUDGETED, now=at(0))
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(1))
    commands.ask(session.pk, APPROVES, by=None, now=at(3601))
    if later:
        make_events(session, *later, now=at(3602))
    assert Session.objects.get(pk=session.pk).expected_by == at(4500)
    assert session.tool_calls.get().expected_by == at(4500)
    liveness.watch(now=at(4000))
    assert_stuck_from(session, 4500)


def test_two_requests_move_a_budget_by_the_time_in_which_any_of_them_waited():
    session = running()
    make_events(session, BUDGETED, now=at(0))
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(10))
    make_events(session, {"type": "approval_request", "id": "b"}, now=at(20))
    commands.ask(session.pk, APPROVES, by=None, now=at(100))
    commands.ask(session.pk, {**APPROVES, "id": "b"}, by=None, now=at(200))
    assert session.tool_calls.get().expected_by == at(900 + 190)
    assert Session.objects.get(pk=session.pk).expected_by == at(900 + 190)


def test_a_budget_that_is_declared_while_a_person_is_waited_for_begins_with_the_answer():
    session = running()
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(0))
    make_events(session, BUDGETED, now=at(1000))
    protocol.heartbeat(session.pk, activity="Compiling", expect_within_seconds=120, now=at(2000))
    commands.ask(session.pk, APPROVES, by=None, now=at(3600))
    assert Session.objects.get(pk=session.pk).expected_by == at(3720)
    assert session.tool_calls.get().expected_by == at(4500)


def test_a_downtime_moves_a_budget_once_also_while_a_person_is_waited_for():
    runs, waits = running(), running()
    for session in (runs, waits):
        make_events(session, BUDGETED, now=at(0))
        protocol.heartbeat(session.pk, interval_seconds=10, now=at(0))
    make_events(waits, {"type": "approval_request", "id": "a"}, now=at(0))
    liveness.excuse_downtime(silent_since=at(100), now=at(1100))
    commands.ask(waits.pk, APPROVES, by=None, now=at(2000))
    assert Session.objects.get(pk=runs.pk).expected_by == at(900 + 1010)
    assert runs.tool_calls.get().expected_by == at(900 + 1030)
    assert Session.objects.get(pk=waits.pk).expected_by == at(900 + 2000)
    assert waits.tool_calls.get().expected_by == at(900 + 2000)


def test_naming_what_goes_on_within_a_call_keeps_the_calls_budget():
    session = running()
    start = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {}, "expect_within": 600}
    make_events(session, start, now=at(1))
    protocol.heartbeat(session.pk, activity="test 5 of 9", now=at(2))
    assert Session.objects.get(pk=session.pk).expected_by == at(601)


def test_a_budget_without_an_activity_is_no_sentence_for_one_that_moves():
    session = running()
    protocol.heartbeat(session.pk, expect_within_seconds=20, now=at(1))
    make_events(session, {"type": "info"}, now=at(15))
    liveness.watch(now=at(21))
    assert liveness_of(session) == "live"


def test_a_budget_of_before_does_not_count_for_a_state_that_is_set():
    session = make_session()
    protocol.heartbeat(session.pk, interval_seconds=10, expect_within_seconds=20, now=at(0))
    protocol.set_state(session.pk, "running", turn_id=None, by="test", now=at(60))
    assert liveness_of(session) == "live"


def test_a_threshold_of_its_own_is_judged_at_once_and_told():
    session = running()
    liveness.watch(now=at(100))
    liveness.set_patience(session.pk, 90, by="key:1", now=at(100))
    assert liveness_of(session) == "stuck"
    edited = session.events.get(type="server.session_edited")
    assert edited.payload == {"changes": {"stuck_after_secs": 90}, "by": "key:1"}
    liveness.set_patience(session.pk, None, by="key:1", now=at(101))
    assert liveness_of(session) == "quiet"
    count = session.events.count()
    liveness.set_patience(session.pk, None, by="key:1", now=at(102))
    assert session.events.count() == count


def test_agents_by_name_may_have_a_threshold(settings):
    settings.KODA_STUCK_AFTER_BY_AGENT = {"slow": timedelta(seconds=900)}
    slow, usual, own = running(agent_name="slow"), running(), running(agent_name="slow")
    liveness.set_patience(own.pk, 30, by="key:1", now=at(0))
    liveness.watch(now=at(300))
    assert [liveness_of(session) for session in (slow, usual, own)] == ["quiet", "stuck", "stuck"]


def test_listening_is_noted_where_all_servers_see_it():
    liveness.listen(now=at(5))
    assert Lease.objects.last_run(liveness.LISTENING) == at(5)
