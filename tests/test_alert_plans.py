"""alerts.plan: who is told of which alarms and when, without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions.alerts import GATHERED_FOR, Cause, Hook, plan
from sessions.incidents import Incident

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAPTOP = (1, "laptop")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def cause(session_id=1, kind="stuck", *, seq=5, seconds=0.0, place=LAPTOP) -> Cause:
    return Cause(session_id=session_id, place=place, kind=kind, seq=seq, at=at(seconds))


def hook(pk=1, *, kinds=("stuck", "lost", "needs"), told=None, told_of_source=None, owner_id=1) -> Hook:
    return Hook(
        pk=pk, owner_id=owner_id, kinds=kinds, quiet_time=timedelta(minutes=15),
        told_of_session=told or {}, told_of_source=told_of_source or {},
    )  # fmt: skip


def decide(*causes, hooks=None, ongoing=(), seconds=60.0):
    return plan(causes, hooks=hooks or [hook()], ongoing=ongoing, now=at(seconds))


def incident(*pks, seconds=0.0) -> Incident:
    return Incident(owner_id=1, source="laptop", since=at(seconds), sessions=pks, running=len(pks))


# --- plan: pure ----------------------------------------------------------------------------------------------


def test_an_alarm_goes_to_each_webhook_of_the_owner_that_wants_its_kind():
    hooks = [hook(1), hook(2, kinds=("needs",)), hook(3, owner_id=2), hook(4, kinds=("stuck",))]
    planned = decide(cause(), hooks=hooks)
    assert [notice.webhook_id for notice in planned.notices] == [1, 4]
    assert {notice.due_at for notice in planned.notices} == {at(60)}
    assert planned.settled == [cause()]


def test_an_alarm_that_nobody_wants_is_settled():
    planned = decide(cause(), hooks=[hook(kinds=())])
    assert (planned.notices, planned.settled) == ([], [cause()])


def test_who_waits_for_a_person_is_told_at_once_and_who_is_silent_waits_for_company():
    waits, silent = cause(1, "needs", seconds=60), cause(2, "lost", seconds=60)
    planned = decide(waits, silent)
    assert ([notice.cause for notice in planned.notices], planned.settled) == ([waits], [waits])
    later = decide(silent, cause(3, "lost", seconds=69), seconds=60 + GATHERED_FOR.total_seconds())
    assert [notice.cause.session_id for notice in later.notices] == [2, 3]


def test_an_alarm_of_before_the_clock_was_set_back_does_not_wait_for_company_as_long_as_the_jump():
    planned = decide(cause(1, "lost", seconds=3600), seconds=60)
    assert [notice.due_at for notice in planned.notices] == [at(60)]


@pytest.mark.parametrize("kind", ["stuck", "lost", "needs"])
def test_within_the_quiet_time_of_a_session_the_alarm_is_held_until_its_end(kind):
    told = [hook(told={1: at(0), 2: at(-3600)})]
    planned = decide(cause(1, kind), cause(2, kind, seq=6), hooks=told)
    assert [(notice.cause.session_id, notice.due_at) for notice in planned.notices] == [(1, at(900)), (2, at(60))]


def test_of_several_alarms_of_a_session_the_newest_is_told():
    planned = decide(cause(1, "lost", seq=9), cause(1, "stuck", seq=5))
    assert [notice.cause.kind for notice in planned.notices] == ["lost"]
    assert len(planned.settled) == 2


def test_an_incident_is_told_once_instead_of_its_sessions():
    planned = decide(cause(1), cause(2), cause(3, "lost"), cause(4), ongoing=[incident(1, 2, 3)])
    assert [(notice.cause.session_id, notice.incident) for notice in planned.notices] == [
        (4, None), (1, incident(1, 2, 3)),
    ]  # fmt: skip
    assert len(planned.settled) == 4


def test_what_joins_an_incident_that_was_told_is_not_told_again_until_the_source_was_back():
    told = [hook(told_of_source={"laptop": at(30)})]
    assert decide(cause(3), hooks=told, ongoing=[incident(1, 2, 3, seconds=0)]).notices == []
    (again,) = decide(cause(3), hooks=told, ongoing=[incident(1, 2, 3, seconds=40)]).notices
    assert again.due_at == at(30) + timedelta(minutes=15)


def test_a_session_that_waits_for_a_person_is_never_part_of_an_incident():
    (notice,) = decide(cause(1, "needs"), ongoing=[incident(1, 2, 3)]).notices
    assert notice.incident is None
