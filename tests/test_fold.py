"""The log is the truth: whoever reads it from its first event, and nothing else, arrives at what the tables say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions import liveness, protocol
from sessions.exceptions import InvalidRequest
from sessions.models import EventDraft, Session
from tests.factories import make_session, make_user
from tests.folded import Folded

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)

turn_ids = st.sampled_from(["t1", "t2", "t3"])
of_turn = st.none() | turn_ids
names = st.sampled_from(["Bash", "Read"])
call_ids = st.sampled_from(["c1", "c2"])


def event(type_: str, *, turn_id=of_turn, **payload) -> st.SearchStrategy[EventDraft]:
    return st.builds(EventDraft, type=st.just(type_), turn_id=turn_id, payload=st.fixed_dictionaries(payload))


reasons = st.sampled_from([{"kind": "complete"}, {"kind": "cancelled"}, {"kind": "error", "message": "m"}])
outputs = st.sampled_from(["fine", "User rejected this action.", "[cancelled]"])
events = st.one_of(
    event("turn_start", turn_id=turn_ids),
    event("turn_start", turn_id=turn_ids),
    event("turn_end", turn_id=turn_ids, reason=reasons),
    event("tool_call_start", id=call_ids, name=names),
    event("tool_call_result", id=call_ids, output=outputs),
    event("approval_request", id=st.just("a"), tool_name=names),
    event("loop_cap_reached", cap=st.just(200)),
    event("ask_user_request", id=st.just("q")),
    event("text_delta", text=st.sampled_from(["a", ""])),
    event("thinking_delta", text=st.just("hm")),
    event("info", message=st.just("m")),
    event("child_task_update", task_id=st.integers(0, 9)),
)
actions = st.one_of(
    st.tuples(st.just("ingest"), st.lists(events, min_size=1, max_size=6)),
    st.tuples(st.just("ingest"), st.lists(events, min_size=1, max_size=6)),
    st.tuples(st.just("state"), st.tuples(st.sampled_from(["idle", "running", "error"]), of_turn)),
    st.tuples(st.just("heartbeat"), st.none() | st.integers(0, 5)),
    st.tuples(st.just("watch"), st.none()),
    st.tuples(st.just("title"), st.sampled_from(["", "a", "b"])),
)
steps = st.lists(st.tuples(actions, st.integers(0, 400)), max_size=12)


batches = st.lists(events, max_size=15).filter(lambda batch: not Folded().refuses(batch))


def ingest_or_be_refused(session: Session, batch: list[EventDraft], now: datetime) -> None:
    """Ingest; a batch that ends what never began is refused and changes nothing."""
    if not folded_from(session).refuses(batch):
        protocol.ingest(session.pk, batch, now=now)
        return
    row = Session.objects.values().get(pk=session.pk)
    with pytest.raises(InvalidRequest):
        protocol.ingest(session.pk, batch, now=now)
    assert Session.objects.values().get(pk=session.pk) == row


def act(session: Session, action: str, given_: object, now: datetime) -> None:
    match action:
        case "ingest":
            ingest_or_be_refused(session, given_, now)
        case "state":
            state, turn_id = given_
            protocol.set_state(session.pk, state, turn_id=turn_id, by="test", now=now)
        case "heartbeat":
            protocol.heartbeat(session.pk, interval_seconds=10, progress=given_, now=now)
        case "watch":
            liveness.watch(now=now)
        case "title":
            session.edit(by="test", title=given_, now=now)


def folded_from(session: Session) -> Folded:
    folded = Folded()
    for one in session.events.order_by("seq"):
        folded.take(one)
    return folded


def check_against_the_log(session: Session) -> None:
    folded = folded_from(session)
    log = list(session.events.order_by("seq"))
    assert [one.seq for one in log] == list(range(1, session.last_seq + 1))
    assert (session.state, session.turn_id, session.needs) == (folded.state, folded.turn_id, folded.needs)
    assert (session.liveness, session.title, session.is_deleted) == (folded.liveness, folded.title, folded.is_deleted)
    assert dict(session.turns.values_list("turn_id", "reason")) == folded.turns
    calls = list(session.tool_calls.order_by("id").values_list("call_id", "name", "turn_id", "outcome"))
    assert calls == [(call.call_id, call.name, call.turn_id, call.outcome) for call in folded.calls]
    waits = list(session.requests.order_by("id").values_list("kind", "turn_id", "tool_name", "status"))
    assert waits == [(wait.kind, wait.turn_id, wait.tool_name, wait.status) for wait in folded.waits]


def check_against_itself(session: Session) -> None:
    outcomes = list(session.tool_calls.values_list("outcome", flat=True))
    assert session.tool_call_count == len(outcomes)
    for outcome in ("success", "failed", "rejected", "aborted"):
        assert getattr(session, f"tool_{outcome}_count") == outcomes.count(outcome)
    assert session.turn_count == session.turns.count()
    oldest = session.requests.open().first()
    assert (session.needs, session.needs_since) == ((oldest.kind, oldest.opened_at) if oldest else ("", None))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_whatever_happens_the_log_tells_the_same_as_the_tables(db, steps):
    session, now = make_session(make_user()), T0
    for (action, given_), seconds in steps:
        now += timedelta(seconds=seconds)
        act(session, action, given_, now)
    liveness.watch(now=now)
    session.refresh_from_db()
    check_against_the_log(session)
    check_against_itself(session)
    verdict = liveness.judge(liveness.facts_of(session), now)
    assert (session.liveness, session.next_deadline_at) == (verdict.liveness, verdict.next_deadline_at)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=batches, cut=st.integers(0, 15))
def test_how_events_are_cut_into_batches_decides_nothing(db, batch, cut):
    owner = make_user()
    whole, parts, singles = (make_session(owner) for _ in range(3))
    protocol.ingest(whole.pk, batch, now=T0)
    for part in (batch[:cut], batch[cut:]):
        protocol.ingest(parts.pk, part, now=T0)
    for one in batch:
        protocol.ingest(singles.pk, [one], now=T0)
    told = []
    for session in (whole, parts, singles):
        session.refresh_from_db()
        check_against_the_log(session)
        told.append(
            (session.state, session.turn_id, session.needs, session.doing, session.liveness, session.expected_by)
        )
    assert told[0] == told[1] == told[2]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=batches, cut=st.integers(0, 15))
def test_sending_again_what_was_sent_changes_nothing(db, batch, cut):
    session = make_session(make_user())
    named = [
        EventDraft(type=one.type, turn_id=one.turn_id, payload=one.payload, event_id=str(n))
        for n, one in enumerate(batch)
    ]
    protocol.ingest(session.pk, named, now=T0)
    before, rows = Session.objects.values().get(pk=session.pk), list(session.events.values_list("seq", "type"))
    protocol.ingest(session.pk, named[cut:], now=T0 + timedelta(hours=1))
    protocol.ingest(session.pk, named, now=T0 + timedelta(hours=1))
    assert Session.objects.values().get(pk=session.pk) == before
    assert list(session.events.values_list("seq", "type")) == rows
