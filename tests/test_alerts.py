"""alerts: who is told of what, once, in time and not too often; written with the change itself."""

from datetime import timedelta

import pytest
from django.db import transaction

from sessions import alerts, commands, liveness, protocol
from sessions.models import Alarm, Delivery, Liveness, Session, Webhook
from tests.factories import make_events, make_session, make_user
from tests.test_alert_plans import T0, at

# --- Alarms are written with the change ----------------------------------------------------------------------


def alarms() -> list[tuple[str, int]]:
    return [(alarm.kind, alarm.seq) for alarm in Alarm.objects.order_by("pk")]


def run_turn(session: Session, *, now=T0) -> None:
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=now)


def ask_approval(session: Session, ask="a", *, now=T0) -> None:
    make_events(session, {"type": "approval_request", "id": ask, "tool_name": "Bash", "turn_id": "t"}, now=now)


def adrift(owner=None, *, now=T0, **facts) -> Session:
    """Return a session that has just been found stuck."""
    session = make_session(owner, **facts)
    run_turn(session, now=now)
    liveness.watch(now=now + timedelta(seconds=301))
    session.refresh_from_db()
    assert session.liveness == Liveness.STUCK
    return session


@pytest.mark.django_db
def test_stuck_lost_and_needs_raise_an_alarm_at_the_newest_event_of_the_change():
    session = make_session()
    run_turn(session)
    assert alarms() == []
    liveness.watch(now=at(301))
    session.refresh_from_db()
    assert alarms() == [("stuck", session.last_seq)]
    protocol.heartbeat(session.pk, interval_seconds=10, now=at(302))
    liveness.watch(now=at(302 + 91))
    assert [kind for kind, _ in alarms()] == ["stuck", "lost"]
    ask_approval(session, now=at(400))
    session.refresh_from_db()
    assert alarms()[-1] == ("needs", session.last_seq)


@pytest.mark.django_db
def test_a_reminder_raises_an_alarm_again():
    session = make_session()
    run_turn(session)
    ask_approval(session)
    Alarm.objects.all().delete()
    liveness.watch(now=T0 + timedelta(hours=1))
    session.refresh_from_db()
    assert alarms() == [("needs", session.last_seq)]


@pytest.mark.django_db
def test_what_goes_on_well_raises_none():
    session = make_session()
    run_turn(session)
    liveness.watch(now=at(61))
    make_events(session, {"type": "text_delta", "text": "on", "turn_id": "t"}, now=at(62))
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}, now=at(63))
    assert alarms() == []


@pytest.mark.django_db
def test_a_second_request_is_news_when_its_turn_comes_and_no_sooner():
    owner = make_user()
    session = make_session(owner)
    run_turn(session)
    ask_approval(session, "a", now=at(1))
    ask_approval(session, "b", now=at(2))
    assert len(alarms()) == 1
    answer = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
    commands.ask(session.pk, answer, by=owner, now=at(3))
    assert [kind for kind, _ in alarms()] == ["needs", "needs"]


@pytest.mark.django_db
def test_imported_sessions_raise_none():
    session = make_session(is_imported=True)
    run_turn(session)
    ask_approval(session)
    assert alarms() == []


@pytest.mark.django_db(transaction=True)
def test_an_alarm_is_lost_with_its_change_and_only_with_it():
    session = make_session()
    run_turn(session)

    def fail():
        with transaction.atomic():
            ask_approval(session)
            assert len(alarms()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert alarms() == []
    session.refresh_from_db()
    assert session.needs == ""


# --- From alarms to the outbox -------------------------------------------------------------------------------


@pytest.fixture
def owner(db):
    return make_user("anna")


@pytest.fixture
def webhook(owner) -> Webhook:
    return Webhook.objects.register(owner=owner, url="https://example.org/hook")


def outbox() -> list[tuple[str, int | None]]:
    return [(row.kind, row.session_id) for row in Delivery.objects.order_by("pk")]


def test_an_alarm_becomes_one_delivery_and_is_gone(owner, webhook):
    session = adrift(owner, title="Build", project_root="/srv/shop")
    assert alerts.spread(now=at(305)) == 0  # it waits for company
    assert alerts.spread(now=at(320)) == 1
    assert alerts.spread(now=at(330)) == 0
    assert alarms() == []
    (delivery,) = Delivery.objects.all()
    assert (delivery.session, delivery.seq, delivery.due_at) == (session, session.last_seq, at(320))
    assert alerts.told_of(delivery) == {
        "session": str(session.uuid), "title": "Build", "agent": "koda", "project": "shop", "source": "laptop",
        "liveness": "stuck", "needs": None, "reason": "no progress for 5 m 01 s", "since": at(301).isoformat(),
    }  # fmt: skip


def test_nobody_but_the_owner_is_told(owner, webhook):
    staff = make_user(is_staff=True)
    Webhook.objects.register(owner=staff, url="https://example.org/staff")
    adrift(make_user(), visibility="PUBLIC")
    assert alerts.spread(now=at(320)) == 0
    assert alarms() == []


def test_a_webhook_that_is_switched_off_is_told_nothing_and_what_waited_is_given_up(owner, webhook):
    adrift(owner)
    alerts.spread(now=at(320))
    webhook.change(is_enabled=False, now=at(321))
    (delivery,) = Delivery.objects.all()
    assert (delivery.given_up_at, delivery.last_error) == (at(321), "the webhook was switched off")
    adrift(owner)
    assert alerts.spread(now=at(330)) == 0


def test_what_waits_and_is_wanted_no_more_is_given_up(owner, webhook):
    adrift(owner)
    alerts.spread(now=at(320))
    webhook.try_out(now=at(320))
    webhook.change(kinds=["lost"], now=at(321))
    stuck, trial = Delivery.objects.order_by("pk")
    assert (stuck.given_up_at, stuck.last_error) == (at(321), "the webhook wants to hear of this no more")
    assert trial.given_up_at is None


def test_a_silence_is_wanted_as_long_as_stuck_or_lost_is(owner, webhook):
    silent = Delivery.objects.create(webhook=webhook, kind="silent", due_at=T0, next_attempt_at=T0)
    webhook.change(kinds=["lost", "needs"])
    silent.refresh_from_db()
    assert silent.given_up_at is None
    webhook.change(kinds=["needs"])
    silent.refresh_from_db()
    assert silent.given_up_at is not None


def test_a_deactivated_user_is_told_nothing_and_what_waited_is_given_up(owner, webhook):
    adrift(owner)
    alerts.spread(now=at(320))
    type(owner).objects.filter(pk=owner.pk).update(is_active=False)
    assert alerts.take(now=at(321)) == []
    (delivery,) = Delivery.objects.all()
    assert (delivery.given_up_at, delivery.last_error) == (at(321), "the owner of the webhook is deactivated")
    adrift(owner)
    assert alerts.spread(now=at(330)) == 0
    assert alarms() == []


def test_ten_sessions_of_a_source_that_vanishes_are_one_delivery(owner, webhook):
    sessions = [make_session(owner, title=f"s{number}") for number in range(10)]
    for number, session in enumerate(sessions):
        make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(3 * number))
        protocol.heartbeat(session.pk, interval_seconds=30, now=at(3 * number))
    here = make_session(owner, source="desk")
    run_turn(here, now=at(100))
    for second in range(85, 200):
        liveness.watch(now=at(second))
        alerts.spread(now=at(second))
    (delivery,) = Delivery.objects.all()
    assert (delivery.kind, delivery.source, delivery.session) == ("silent", "laptop", None)
    assert delivery.body["count"] == 10
    assert delivery.body["since"] == at(27).isoformat()
    assert delivery.body["reason"] == "nothing heard from 10 of its 10 running sessions"
    assert {one["title"] for one in alerts.told_of(delivery)["sessions"]} == {f"s{number}" for number in range(10)}
    assert not alarms()


def test_a_second_silence_of_the_same_source_is_told_after_the_quiet_time_if_it_lasts(owner, webhook):
    sessions = [adrift(owner) for _ in range(3)]
    alerts.spread(now=at(320))
    for session in sessions:
        make_events(session, {"type": "text_delta", "text": "back", "turn_id": "t"}, now=at(400))
    liveness.watch(now=at(701))
    alerts.spread(now=at(720))
    first, second = Delivery.objects.order_by("pk")
    assert (first.kind, second.kind) == ("silent", "silent")
    assert second.due_at == at(320) + timedelta(minutes=15)


@pytest.mark.django_db
@pytest.mark.parametrize("is_back", [False, True])
def test_a_session_that_joins_a_told_silence_does_not_make_it_told_again(is_back):
    owner = make_user()
    Webhook.objects.register(owner=owner, url="https://example.org/hook", kinds=["stuck", "lost"], quiet_minutes=0)
    sessions = [make_session(owner, source="laptop") for _ in range(4)]
    *first, joins = sessions
    for session in sessions:
        make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(0))
        protocol.heartbeat(session.pk, interval_seconds=30, now=at(0))
    for second in range(0, 400, 10):
        if second in {60, 120}:
            make_events(joins, {"type": "info"}, now=at(second))
        if is_back and second == 130:
            for session in first:
                make_events(session, {"type": "info"}, now=at(second))
        liveness.watch(now=at(second))
        alerts.spread(now=at(second))
    assert Delivery.objects.filter(kind="silent").count() == (2 if is_back else 1)


def fall_silent_together(sessions, *, now):
    for session in sessions:
        make_events(session, {"type": "text_delta", "text": "back", "turn_id": "t"}, now=now)
    liveness.watch(now=now + timedelta(seconds=301))
    alerts.spread(now=now + timedelta(seconds=320))


def test_a_held_silence_gives_way_to_a_newer_one(owner, webhook):
    sessions = [adrift(owner) for _ in range(3)]
    alerts.spread(now=at(320))
    fall_silent_together(sessions, now=at(400))
    later = [make_session(owner, source="laptop") for _ in range(2)]
    for session in later:
        make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(800))
    fall_silent_together([*sessions, *later], now=at(800))
    _, held = Delivery.objects.order_by("pk")
    assert (held.body["since"], held.body["count"]) == (at(800).isoformat(), 5)
    assert held.due_at == at(320) + timedelta(minutes=15)


def test_a_held_silence_is_not_told_of_a_session_that_hangs_later_by_itself(owner, webhook):
    sessions = [adrift(owner) for _ in range(3)]
    alerts.spread(now=at(320))
    fall_silent_together(sessions, now=at(400))
    for session in sessions:
        make_events(session, {"type": "text_delta", "text": "back", "turn_id": "t"}, now=at(800))
    for session in sessions[1:]:
        make_events(session, {"type": "text_delta", "text": "on", "turn_id": "t"}, now=at(1140))
    liveness.watch(now=at(1150))
    alerts.spread(now=at(1170))
    assert [one.kind for one in alerts.take(now=at(1300))] == ["stuck"]


def test_quiet_time_holds_the_newest_alarm_of_a_session_and_drops_it_when_it_is_over(owner, webhook):
    session = adrift(owner)
    alerts.spread(now=at(320))
    for again in (400, 800):
        make_events(session, {"type": "text_delta", "text": "on", "turn_id": "t"}, now=at(again))
        liveness.watch(now=at(again + 301))
        alerts.spread(now=at(again + 320))
    told, held = Delivery.objects.order_by("pk")
    assert held.due_at == told.due_at + timedelta(minutes=15)
    assert held.body["since"] == at(1101).isoformat()
    make_events(session, {"type": "text_delta", "text": "on", "turn_id": "t"}, now=at(1150))
    assert alerts.take(now=at(1300)) == []
    assert outbox() == []


def test_what_lasts_beyond_the_quiet_time_is_told_then(owner, webhook):
    session = adrift(owner)
    alerts.spread(now=at(320))
    (first,) = alerts.take(now=at(320))
    first.note_told(204, now=at(320))
    ask_approval(session, now=at(400))
    alerts.spread(now=at(401))
    assert alerts.take(now=at(402)) == []
    (second,) = alerts.take(now=at(320 + 900))
    assert (second.kind, second.body["needs"]) == ("needs", "approval")


def test_what_is_over_before_anybody_was_told_is_withdrawn(owner, webhook):
    session = make_session(owner)
    run_turn(session)
    ask_approval(session, now=at(1))
    alerts.spread(now=at(2))
    answer = {"type": "approval_response", "id": "a", "decision": {"decision": "approve"}}
    commands.ask(session.pk, answer, by=owner, now=at(2))
    assert alerts.take(now=at(3)) == []
    assert outbox() == []


def test_what_was_tried_once_is_told_even_when_it_is_over(owner, webhook):
    session = adrift(owner)
    alerts.spread(now=at(320))
    (delivery,) = alerts.take(now=at(320))
    delivery.note_failure("no answer", status=None, now=at(325))
    make_events(session, {"type": "text_delta", "text": "back", "turn_id": "t"}, now=at(326))
    (again,) = alerts.take(now=at(400))
    assert (again.pk, again.attempts) == (delivery.pk, 2)


def test_with_nothing_to_tell_a_round_is_two_reads(owner, webhook, django_assert_num_queries):
    with django_assert_num_queries(2):  # alarms, what is due
        alerts.spread(now=T0)
        alerts.take(now=T0)


def test_a_session_that_is_destroyed_takes_its_alarms_and_deliveries_along(owner, webhook):
    session = adrift(owner)
    alerts.spread(now=at(320))
    ask_approval(session, now=at(321))
    session.destroy()
    assert (alarms(), outbox()) == ([], [])


# --- The claim -----------------------------------------------------------------------------------------------


def test_a_delivery_is_claimed_by_one_and_comes_again_when_its_sender_died(owner, webhook):
    adrift(owner)
    alerts.spread(now=at(320))
    seen_by_another = Delivery.objects.get()
    (claimed,) = alerts.take(now=at(320))
    assert not seen_by_another.claim(now=at(320))
    assert alerts.take(now=at(321)) == []
    (again,) = alerts.take(now=at(381))
    claimed.note_failure("too late to say so", status=500, now=at(382))
    again.refresh_from_db()
    assert (again.attempts, again.last_error) == (2, "")


def test_one_webhook_with_much_to_tell_leaves_room_for_the_others(owner, webhook):
    other = Webhook.objects.register(owner=make_user(), url="https://example.org/other")
    for _ in range(10):
        webhook.try_out(now=T0)
    other.try_out(now=at(5))
    taken = alerts.take(now=at(6))
    assert [delivery.webhook_id for delivery in taken] == [webhook.pk] * 4 + [other.pk]
