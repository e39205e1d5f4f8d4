"""stats.figures: sums that add up, time counted once, and nothing of what the reader may not see."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from hypothesis import given
from hypothesis import strategies as st

from sessions import counting, stats
from sessions.models import Session, TokenCounts
from sessions.stats import DayTimes, Filters, Period, figures
from tests.engine_events import APPROVAL, CALL, NOW, QUESTION, RESULT, START, end
from tests.factories import make_events, make_session, make_user
from tests.message_drafts import append, user

TODAY = NOW.date()
WEEK = Period.of_days(7, now=NOW)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def tell(session: Session, *events: dict, seconds: float = 0) -> None:
    make_events(session, *events, now=at(seconds))


def spend(session: Session, *, prompt: int = 10, completion: int = 1, seconds: float = 0, **more: int) -> None:
    counts = TokenCounts(prompt_tokens=prompt, completion_tokens=completion, **more)
    append(session, user(usage=counts), now=at(seconds))


@pytest.fixture
def owner(db):
    return make_user("ada")


def test_tokens_are_summed_by_day_agent_and_project_each_kind_apart(owner):
    koda = make_session(owner, agent_name="koda", project_root="/w/a")
    other = make_session(owner, agent_name="claude", project_root=None)
    spend(koda, prompt=100, cache_read_tokens=7, cache_creation_tokens=5, thinking_tokens=3)
    spend(koda, prompt=20, seconds=-86400)
    spend(other, prompt=3)

    found = figures(owner, period=WEEK)

    assert {day: counts.prompt_tokens for day, counts in found.by_day.items()} == {
        TODAY: 103,
        TODAY - timedelta(days=1): 20,
    }
    assert {name: counts.prompt_tokens for name, counts in found.by_agent.items()} == {"koda": 120, "claude": 3}
    assert {name: counts.prompt_tokens for name, counts in found.by_project.items()} == {"/w/a": 120, "": 3}
    assert found.tokens == TokenCounts(
        prompt_tokens=123,
        completion_tokens=3,
        cache_read_tokens=7,
        cache_creation_tokens=5,
        thinking_tokens=3,
    )


def test_days_before_the_period_and_after_it_are_left_out(owner):
    session = make_session(owner)
    spend(session, prompt=1, seconds=-7 * 86400)
    spend(session, prompt=2, seconds=86400)
    spend(session, prompt=4, seconds=-6 * 86400)
    assert figures(owner, period=WEEK).tokens.prompt_tokens == 4


def test_calls_are_counted_by_tool_and_outcome(owner):
    session = make_session(owner)
    tell(session, START)
    for number, (name, success) in enumerate([("Bash", True), ("Bash", False), ("Read", True)]):
        call = {**CALL, "id": str(number), "name": name}
        tell(session, call, {**RESULT, "id": str(number), "name": name, "is_error": not success})
    tell(session, {**CALL, "id": "9", "name": "Bash"})

    bash, read = figures(owner, period=WEEK).tools

    assert (bash.name, bash.total, bash.success, bash.failed, bash.open) == ("Bash", 3, 1, 1, 1)
    assert (read.name, read.total, read.failed_percent) == ("Read", 1, 0)
    assert bash.failed_percent == 50


def test_turns_are_measured_when_they_have_ended(owner):
    session = make_session(owner)
    for number, seconds in enumerate([4, 6, 100]):
        tell(session, {**START, "turn_id": str(number)})
        tell(session, end("error" if number else "complete", turn_id=str(number)), seconds=seconds)
    tell(session, {**START, "turn_id": "open"}, seconds=200)

    turns = figures(owner, period=WEEK).turns

    assert (turns.count, turns.ended, turns.reasons) == (4, 3, {"complete": 1, "error": 2})
    assert (turns.median, turns.p95, turns.longest) == (6, 100, 100)
    assert [turns.lengths[0], turns.lengths[1], turns.lengths[5], sum(turns.lengths)] == [1, 1, 1, 3]


def test_waiting_side_by_side_is_waiting_once_and_no_work(owner):
    session = make_session(owner)
    tell(session, START)
    tell(session, APPROVAL, seconds=10)
    tell(session, QUESTION, seconds=20)
    tell(session, end(), seconds=100)
    assert figures(owner, period=WEEK).times == {TODAY: DayTimes(working=10, waiting=90)}


def test_what_still_runs_takes_nothing_from_the_work_of_turns_that_ended(owner):
    done, waited = make_session(owner), make_session(owner)
    tell(done, START)
    tell(done, end(), seconds=100)
    tell(waited, START)
    tell(waited, APPROVAL, seconds=10)
    tell(waited, {"type": "text_delta", "text": "on", "turn_id": "t"}, seconds=90)  # asked and settled elsewhere

    assert figures(owner, period=WEEK).times == {TODAY: DayTimes(working=100, waiting=80)}

    tell(waited, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}, seconds=200)
    assert figures(owner, period=WEEK).times == {TODAY: DayTimes(working=220, waiting=80)}


def test_waiting_over_midnight_is_taken_from_the_turn_that_waited(owner):
    session = make_session(owner)
    evening = datetime(2026, 2, 27, 23, 50, tzinfo=UTC)
    make_events(session, START, now=evening)
    make_events(session, APPROVAL, now=evening + timedelta(minutes=15))
    make_events(session, end(), now=evening + timedelta(minutes=60))
    first, second = date(2026, 2, 27), date(2026, 2, 28)
    assert figures(owner, period=WEEK).times == {
        first: DayTimes(working=15 * 60, waiting=0),
        second: DayTimes(working=None, waiting=45 * 60),
    }
    assert figures(owner, period=Period(first, first)).times == {first: DayTimes(working=15 * 60, waiting=0)}


def test_what_is_private_to_somebody_else_is_in_no_figure(owner):
    for visibility in ("PRIVATE", "PUBLIC"):
        session = make_session(make_user(), agent_name=visibility, visibility=visibility)
        tell(session, START, {**CALL, "name": visibility})
        tell(session, APPROVAL, seconds=1)
        tell(session, end(), seconds=5)
        spend(session)

    found = figures(owner, period=WEEK)

    assert list(found.by_agent) == ["PUBLIC"]
    assert [tool.name for tool in found.tools] == ["PUBLIC"]
    assert (found.turns.count, found.times) == (1, {TODAY: DayTimes(working=1, waiting=4)})
    assert figures(make_user(is_staff=True), period=WEEK).turns.count == 2
    assert figures(AnonymousUser(), period=WEEK).is_empty


@pytest.mark.parametrize("filters", [Filters(agent_name="a"), Filters(project_root="/a"), Filters(source="a")])
def test_a_filter_narrows_every_figure(owner, filters):
    for name in ("a", "b"):
        session = make_session(owner, agent_name=name, project_root=f"/{name}", source=name)
        tell(session, START, {**CALL, "name": name})
        tell(session, end(), seconds=5)
        spend(session)
    found = figures(owner, period=Period.of_days(stats.LONGEST_DAYS, now=datetime.now(UTC)), filters=filters)
    assert found.session_count == 1
    assert list(found.by_agent) == ["a"]
    assert [tool.name for tool in found.tools] == ["a"]
    assert found.turns.count == 1
    assert found.all_times.working == 5


def test_nothing_reported_is_unknown(owner):
    found = figures(owner, period=WEEK)
    assert found.is_empty
    assert (found.tokens, found.turns.median, found.all_tools.failed_percent) == (None, None, None)


def test_the_figures_cost_the_same_queries_for_many(owner, django_assert_num_queries):
    for number in range(5):
        session = make_session(owner, agent_name=str(number))
        tell(session, {**START, "turn_id": str(number)}, {**CALL, "id": str(number)})
        spend(session)
    # the mark; which are uncounted; which may be seen; then of these the ledger, calls, purged calls, turns, requests
    # and births; the mark again
    with django_assert_num_queries(10):
        figures(owner, period=WEEK)
    counting.count(seconds=9)
    # the mark; by day; details; tokens by place, and the places; which are uncounted; whose share is gone; the mark
    with django_assert_num_queries(8):
        figures(owner, period=WEEK)


def test_a_day_is_a_day_in_utc_whatever_the_zone(owner, settings):
    settings.TIME_ZONE = "Pacific/Auckland"
    session = make_session(owner)
    midnight = datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)
    make_events(session, START, now=midnight)
    make_events(session, end(), now=midnight + timedelta(seconds=2))
    assert list(figures(owner, period=WEEK).times) == [date(2026, 2, 27)]


def test_a_long_period_is_shown_by_weeks_that_end_today():
    slots = Period.of_days(365, now=NOW).slots
    assert (slots[-1].last, len(slots[-1].days)) == (TODAY, 7)
    assert [day for slot in slots for day in slot.days] == Period.of_days(365, now=NOW).days


@given(st.lists(st.integers(0, 5000), min_size=1))
def test_a_percentile_is_the_one_that_counting_finds(values):
    counts = {value: values.count(value) for value in values}
    for part in (0.5, 0.95):
        found = stats.percentile(counts, part)
        assert sum(value <= found for value in values) >= part * len(values)
        assert sum(value < found for value in values) < part * len(values)
