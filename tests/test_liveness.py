"""liveness.judge: the table of LIVENESS.md, row by row, to the very moment of each deadline."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessions import liveness, protocol
from sessions.liveness import Facts, judge
from sessions.models import Liveness, Needs, Session, State
from tests.factories import make_events, make_message, make_session

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = 1e-6


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


TALKS = Facts(
    state="running", needs="", turn_started_at=T0, heard_at=T0, progressed_at=T0, heartbeat_interval=None,
    expected_by=None, stuck_after=timedelta(seconds=300), excused=timedelta(), has_events=True, is_imported=False,
)  # fmt: skip
"""A turn that began at T0, of an agent that speaks the turn protocol and sends no heartbeats."""
BEATS = replace(TALKS, heartbeat_interval=timedelta(seconds=10))
SLOW = replace(TALKS, heartbeat_interval=timedelta(seconds=60))
SILENT = replace(TALKS, has_events=False)
WAITS = replace(TALKS, needs="approval", needs_since=T0)


def budget(seconds: float, of: Facts = TALKS) -> Facts:
    return replace(of, expected_by=at(seconds), doing="Bash cargo test", doing_since=T0)


TABLE = [
    # A name; facts; seconds since T0; the liveness and the seconds since T0 of the next look.
    ("idle rests", replace(TALKS, state="idle", turn_started_at=None), 10**6, "resting", None),
    ("an error rests", replace(TALKS, state="error", turn_started_at=None), 10**6, "resting", None),
    ("just begun, it lives", TALKS, 0, "live", 60),
    ("it lives until twice the interval", TALKS, 60 - MOMENT, "live", 60),
    ("quiet at twice the interval", TALKS, 60, "quiet", 300),
    ("quiet until the threshold", TALKS, 300 - MOMENT, "quiet", 300),
    ("stuck at the threshold", TALKS, 300, "stuck", None),
    ("without heartbeats it is never lost", TALKS, 10**6, "stuck", None),
    ("its own interval makes it quiet", BEATS, 20, "quiet", 90),
    ("lost no sooner than after 90 seconds", BEATS, 90 - MOMENT, "quiet", 90),
    ("lost at 90 seconds", BEATS, 90, "lost", 300),
    ("lost stays lost when it would be stuck too", BEATS, 300, "lost", None),
    ("a slow beat is quiet later", SLOW, 120 - MOMENT, "live", 120),
    ("a slow beat is lost later", SLOW, 180 - MOMENT, "quiet", 180),
    ("a slow beat is lost at three times its interval", SLOW, 180, "lost", 300),
    (
        "a beat slower than the threshold is stuck first",
        replace(SLOW, heartbeat_interval=timedelta(seconds=200)),
        300, "stuck", 400,
    ),
    ("heartbeats without progress are quiet", replace(BEATS, heard_at=at(30)), 30, "quiet", 120),
    ("heartbeats without progress are stuck, not lost", replace(BEATS, heard_at=at(299)), 300, "stuck", 389),
    ("a late heartbeat of a lost one", replace(BEATS, heard_at=at(200)), 200, "quiet", 290),
    ("progress puts everything off", replace(BEATS, heard_at=at(200), progressed_at=at(200)), 200, "live", 220),
    ("progress brings a stuck one back", replace(TALKS, heard_at=at(900), progressed_at=at(900)), 900, "live", 960),
    ("a shorter threshold of its own", replace(TALKS, stuck_after=timedelta(seconds=30)), 30, "stuck", 60),
    ("a longer threshold of its own", replace(TALKS, stuck_after=timedelta(hours=2)), 7199, "quiet", 7200),
    ("a declared ten minutes are not stuck in the sixth", budget(600), 360, "quiet", 600),
    ("nor a moment before they are over", budget(600), 600 - MOMENT, "quiet", 600),
    ("a declared ten minutes are stuck when they are over", budget(600), 600, "stuck", None),
    ("a short budget goes before the threshold", budget(20), 20, "stuck", 60),
    ("heartbeats keep a long activity found", budget(600, of=replace(BEATS, heard_at=at(550))), 560, "quiet", 600),
    ("a long activity whose client has gone is lost", budget(600, of=BEATS), 90, "lost", 600),
    (
        "an activity that moves at the end of its budget is not stuck",
        replace(budget(600), progressed_at=at(595), heard_at=at(595)),
        600, "live", 655,
    ),
    (
        "beyond its budget it has the threshold since it moved",
        replace(budget(600), progressed_at=at(595), heard_at=at(595)),
        895, "stuck", None,
    ),
    (
        "moving early does not shorten a budget",
        replace(budget(600), progressed_at=at(10), heard_at=at(10)),
        599, "quiet", 600,
    ),
    ("who waits for an approval is never stuck", replace(TALKS, needs="approval"), 10**6, "live", None),
    ("who waits for a decision is never stuck", replace(BEATS, needs="loop_decision"), 10**6, "live", None),
    ("who waits for an answer is never stuck", replace(BEATS, needs="input"), 10**6, "live", None),
    ("who begins to wait is reminded in an hour", WAITS, 0, "live", 3600),
    ("until the hour is over", WAITS, 3600 - MOMENT, "live", 3600),
    ("then after four", WAITS, 3600, "live", 4 * 3600),
    ("then after a day", WAITS, 4 * 3600, "live", 86400),
    ("then every day", WAITS, 9.5 * 86400, "live", 10 * 86400),
    ("who waits when the turn is over is reminded too", replace(WAITS, state="error"), 3600, "resting", 4 * 3600),
    ("what was imported reminds nobody", replace(WAITS, is_imported=True), 0, "unknown", None),
    ("who waits outside of a turn rests", replace(TALKS, state="error", needs="input"), 0, "resting", None),
    ("what was imported never alarms", replace(TALKS, is_imported=True), 10**6, "unknown", None),
    ("what was imported and beats does not either", replace(BEATS, is_imported=True, needs=""), 10**6, "unknown", None),
    ("who says nothing more is unknown", SILENT, 0, "unknown", 300),
    ("unknown until the threshold", SILENT, 300 - MOMENT, "unknown", 300),
    ("then stuck", SILENT, 300, "stuck", None),
    ("a heartbeat alone makes it known", replace(BEATS, has_events=False), 0, "live", 20),
    (
        "running since before anything was heard",
        replace(SILENT, heard_at=None, progressed_at=None),
        300, "stuck", None,
    ),
    (
        "with no time at all nothing can be told",
        replace(SILENT, heard_at=None, progressed_at=None, turn_started_at=None),
        10**6, "unknown", None,
    ),
    ("heard without a start of a turn", replace(TALKS, turn_started_at=None), 300, "stuck", None),
    ("a turn counts from its start", replace(TALKS, heard_at=at(-900), progressed_at=at(-900)), 0, "live", 60),
    ("the server's own silence is excused", replace(TALKS, excused=timedelta(seconds=1000)), 1059, "live", 1060),
    ("excused as long as it was, and no longer", replace(TALKS, excused=timedelta(seconds=1000)), 1300, "stuck", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "seconds", "expected", "next_look"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_table(facts, seconds, expected, next_look):
    verdict = judge(facts, at(seconds))
    assert verdict.liveness == expected
    assert verdict.next_deadline_at == (None if next_look is None else at(next_look))


def test_the_table_has_every_liveness_and_every_need():
    assert {row[3] for row in TABLE} == set(Liveness.values)
    assert {row[1].needs for row in TABLE} == set(Needs.values)
    assert {row[1].state for row in TABLE} == set(State.values)


@pytest.mark.parametrize(
    ("facts", "seconds", "reason"),
    [
        (TALKS, 0, ""),
        (TALKS, 75, "no progress for 1 m 15 s"),
        (budget(600), 610, "no progress for 10 m 10 s while Bash cargo test is open"),
        (BEATS, 3720, "nothing heard for 1 h 02 m"),
        (BEATS, 42, "no progress for 42 s"),
        (replace(BEATS, heard_at=at(40)), 299, "nothing heard for 4 m 19 s"),
        (replace(TALKS, progressed_at=at(-3600), heard_at=at(-3600)), 300, "no progress for 5 m 00 s"),
        (SILENT, 1, "running; its source reports no events"),
        (replace(TALKS, needs="approval"), 1, "waits for an approval"),
        (replace(TALKS, needs="loop_decision"), 1, "reached its limit of rounds and waits for a decision"),
        (replace(TALKS, needs="input"), 1, "waits for an answer"),
        (replace(TALKS, state="idle"), 1, ""),
    ],
)
def test_the_reason_is_one_that_a_person_can_check(facts, seconds, reason):
    assert judge(facts, at(seconds)).reason == reason


moments = st.none() | st.integers(-2000, 2000).map(at)
any_facts = st.builds(
    Facts,
    state=st.sampled_from(State.values),
    needs=st.sampled_from(Needs.values),
    turn_started_at=moments,
    heard_at=moments,
    progressed_at=moments,
    heartbeat_interval=st.none() | st.integers(1, 500).map(lambda seconds: timedelta(seconds=seconds)),
    expected_by=moments,
    stuck_after=st.integers(0, 1000).map(lambda seconds: timedelta(seconds=seconds)),
    excused=st.integers(0, 500).map(lambda seconds: timedelta(seconds=seconds)),
    has_events=st.booleans(),
    is_imported=st.booleans(),
    doing=st.sampled_from(["", "Bash"]),
    doing_since=moments,
    needs_since=moments,
)


SET_BACK = replace(
    BEATS, turn_started_at=at(1), progressed_at=at(-90), heartbeat_interval=timedelta(seconds=1),
    stuck_after=timedelta(0), excused=timedelta(seconds=90),
)  # fmt: skip
"""A turn that begins after now, as when the clock was set back."""


@given(any_facts, st.integers(-3000, 5000))
@example(SET_BACK, 0)
def test_a_verdict_holds_until_the_look_that_it_announces(facts, seconds):
    verdict = judge(facts, at(seconds))
    if verdict.next_deadline_at is None:
        assert judge(facts, at(10**7)).liveness == verdict.liveness
        return
    assert verdict.next_deadline_at > at(seconds)
    just_before = verdict.next_deadline_at - timedelta(microseconds=1)
    assert judge(facts, max(just_before, at(seconds))).liveness == verdict.liveness


@given(any_facts, st.integers(-3000, 5000))
def test_who_rests_or_waits_is_looked_at_again_only_to_remind_a_person(facts, seconds):
    verdict = judge(facts, at(seconds))
    reminds = facts.needs and facts.needs_since and not facts.is_imported
    if facts.state != State.RUNNING:
        assert (verdict.liveness, verdict.reason) == (Liveness.RESTING, "")
        assert verdict.next_deadline_at is None or reminds
    elif facts.needs or facts.is_imported:
        assert verdict.liveness in {Liveness.LIVE, Liveness.UNKNOWN}
        assert verdict.next_deadline_at is None or reminds


@given(any_facts, st.integers(-3000, 5000))
def test_lost_needs_heartbeats_and_unknown_needs_their_absence(facts, seconds):
    verdict = judge(facts, at(seconds))
    if verdict.liveness == Liveness.LOST:
        assert facts.heartbeat_interval is not None
    if verdict.liveness == Liveness.UNKNOWN and not facts.is_imported:
        assert not facts.has_events
        assert facts.heartbeat_interval is None


# --- Facts, and the transaction of the write -----------------------------------------------------------------


@pytest.mark.django_db
def test_facts_are_read_from_the_session(settings):
    settings.KODA_STUCK_AFTER = timedelta(seconds=120)
    session = make_session()
    assert liveness.facts_of(session).stuck_after == timedelta(seconds=120)
    assert liveness.facts_of(session).heartbeat_interval is None
    session.stuck_after_seconds = 7
    session.heartbeat_at = T0
    assert liveness.facts_of(session).stuck_after == timedelta(seconds=7)
    assert liveness.facts_of(session).heartbeat_interval == liveness.DEFAULT_INTERVAL
    session.heartbeat_interval_seconds = 5
    assert liveness.facts_of(session).heartbeat_interval == timedelta(seconds=5)


def changes_of(session: Session) -> list[tuple[str, str]]:
    rows = session.events.filter(type="server.liveness_changed").order_by("seq")
    return [(row.payload["from"], row.payload["to"]) for row in rows]


@pytest.mark.django_db
def test_every_write_sets_the_next_look_and_tells_a_change_once():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(0))
    make_events(session, {"type": "info"}, now=at(30))
    session.refresh_from_db()
    assert (session.liveness, session.liveness_since, session.next_deadline_at) == ("live", at(0), at(90))
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}, now=at(40))
    session.refresh_from_db()
    assert (session.liveness, session.liveness_since, session.next_deadline_at) == ("resting", at(40), None)
    assert changes_of(session) == [("resting", "live"), ("live", "resting")]


@pytest.mark.django_db
def test_a_late_message_brings_a_stuck_session_back_and_the_return_is_told():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(0))
    assert liveness.watch(now=at(300)).changed == 1
    make_message(session)
    session.refresh_from_db()
    assert session.liveness == "live"
    assert changes_of(session) == [("resting", "live"), ("live", "stuck"), ("stuck", "live")]


@pytest.mark.django_db
def test_the_proof_of_a_silence_is_the_last_event_before_it():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(0))
    make_events(session, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {}}, now=at(1))
    liveness.watch(now=at(61))
    liveness.watch(now=at(301))
    session.refresh_from_db()
    assert (session.liveness, session.liveness_reason) == ("stuck", "no progress for 5 m 00 s while Bash is open")
    assert session.events.get(seq=session.liveness_seq).type == "tool_call_start"
    assert session.events.last().payload["proof_seq"] == session.liveness_seq


@pytest.mark.django_db
def test_the_proof_of_a_return_is_the_event_that_brought_it():
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id="t", by="test", now=at(0))
    liveness.watch(now=at(300))
    make_events(session, {"type": "info"}, now=at(400))
    session.refresh_from_db()
    assert session.liveness == "live"
    assert session.events.get(seq=session.liveness_seq).type == "info"
    liveness.watch(now=at(460))
    protocol.heartbeat(session.pk, progress=1, now=at(500))
    session.refresh_from_db()
    assert session.events.get(seq=session.liveness_seq).type == "server.liveness_changed"


@pytest.mark.django_db
def test_a_reason_can_be_had_that_is_true_now():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(0))
    liveness.watch(now=at(300))
    session.refresh_from_db()
    assert session.liveness_reason == "no progress for 5 m 00 s"
    assert liveness.explain(session, at(3720)) == "no progress for 1 h 02 m"
    make_events(session, {"type": "approval_request", "id": "a"}, now=at(4000))
    session.refresh_from_db()
    assert liveness.explain(session, at(9000)) == "waits for an approval"
