"""counting and sums: kept figures are what the records say, whatever happens to a session, and no purge lowers them."""

import random
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection
from django.db.models import F

from sessions import checkpoints, compaction, counting, following, forks, sums
from sessions.models import (
    FigureMark,
    FigureSum,
    Place,
    PurgedCalls,
    Session,
    Share,
    TokenCounts,
    figure_sum,
    log_mark,
)
from sessions.stats import Figures, Filters, Period, figures
from sessions.tool_stats import stats_of
from tests.api.stakpak.calling import call, result, says
from tests.engine_events import APPROVAL, NOW, end
from tests.factories import make_events, make_session, make_user
from tests.message_drafts import answering, append, asking, user
from tests.purging import purge

pytestmark = pytest.mark.django_db
YEAR = Period.of_days(366, now=NOW)


def work(session: Session, *, days_ago: int = 0, tool: str = "Bash", is_error: bool = False) -> None:
    """Let a session have a turn of a minute with tokens, a call, and ten seconds of waiting for a person."""
    at, turn_id = NOW - timedelta(days=days_ago), f"t{session.turn_count}"
    told = {"id": turn_id, "name": tool, "turn_id": turn_id}
    make_events(session, {"type": "turn_start", "turn_id": turn_id}, now=at)
    make_events(session, {"type": "tool_call_start", "args": {}, **told}, {**APPROVAL, "turn_id": turn_id}, now=at)
    output = {"type": "tool_call_result", "output": "x", "is_error": is_error, **told}
    make_events(session, output, now=at + timedelta(seconds=10))
    append(session, user(usage=TokenCounts(prompt_tokens=days_ago + 1, thinking_tokens=2)), now=at)
    make_events(session, end(turn_id=turn_id), now=at + timedelta(seconds=60))
    session.refresh_from_db()


def archive(session: Session) -> None:
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test", now=NOW)


def count() -> int:
    return counting.count(seconds=60)


def seen_by(*people) -> list[Figures]:
    """Return what these people see of several periods, narrowed in several ways."""
    narrowed = [
        Filters(), Filters(agent_name="a"), Filters(project_root="/1"), Filters(source="laptop"),
        Filters(agent_name="a", project_root="/0", source="desk"),
    ]  # fmt: skip
    periods = [YEAR, Period.of_days(1, now=NOW), Period.of_days(40, now=NOW - timedelta(days=3))]
    found = [figures(who, period=period, filters=few) for who in people for period in periods for few in narrowed]
    return [replace(one, tools=sorted(one.tools, key=lambda tool: tool.name)) for one in found]


class Company:
    """People and their sessions, to whom things happen by dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.people = [make_user(), make_user(), make_user(is_staff=True)]
        self.sessions: list[Session] = []
        for _ in range(4):
            self.begin()

    def begin(self) -> None:
        """Let one more session begin."""
        places = {"agent_name": self.dice.choice("ab"), "source": self.dice.choice(["laptop", "desk"])}
        root = self.dice.choice(["/0", "/1", None])
        self.sessions.append(make_session(self.dice.choice(self.people[:2]), project_root=root, **places))

    def act(self) -> None:
        """Let something happen to one of them."""
        happening = self.dice.choice([self.work, self.work, self.work, self.show, self.fork, self.purge, self.remove])
        happening(self.dice.choice(self.sessions))
        for session in self.sessions:
            session.refresh_from_db()

    def work(self, session: Session) -> None:
        days_ago, tool = self.dice.choice([0, 1, 2, 30, 31, 35, 200]), self.dice.choice(["Bash", "Read"])
        work(session, days_ago=days_ago, tool=tool, is_error=self.dice.random() < 0.3)

    def show(self, session: Session) -> None:
        session.edit(by="test", visibility=self.dice.choice(["PUBLIC", "PRIVATE"]))

    def fork(self, session: Session) -> None:
        append(session, asking(f"c{session.last_seq}"), answering(f"c{session.last_seq}"))
        self.sessions.append(forks.fork_messages(session, by="test"))

    def purge(self, session: Session) -> None:
        append(session, asking("x"), answering("x"))
        archive(session)
        purge("compacted")

    def remove(self, session: Session) -> None:
        if session.is_deleted and not session.children.exists():
            session.destroy()
            self.sessions.remove(session)
            self.begin()
        else:
            session.remove(by="test")


@pytest.mark.parametrize("seed", range(2))
def test_what_is_kept_is_what_the_records_say_whatever_happens(seed):
    company = Company(seed)
    for _ in range(3):
        for _ in range(7):
            company.act()
        before = seen_by(*company.people)
        count()
        assert seen_by(*company.people) == before
        assert counting.miscounted([session.pk for session in company.sessions]) == counting.wrong_sums() == []
        counting.start_again()
        assert seen_by(*company.people) == before
        count()


def test_only_what_changed_is_counted_again():
    first, second = make_session(), make_session()
    assert count() == 2
    assert count() == 0
    work(second)
    assert count() == 1
    assert Share.objects.get(session=first).days.keys() != Share.objects.get(session=second).days.keys()


def test_figures_read_few_records_and_say_that_they_are_not_whole(monkeypatch):
    monkeypatch.setattr(sums, "READ_AT_ONCE", 2)
    staff = make_user("staff", is_staff=True)
    for _ in range(3):
        work(make_session())
    early = figures(staff, period=YEAR)
    assert (early.turns.count, early.is_whole) == (2, False)
    assert count() == 3
    whole = figures(staff, period=YEAR)
    assert (whole.turns.count, whole.is_whole) == (3, True)


def test_it_goes_on_in_small_steps_and_over_gaps(monkeypatch):
    monkeypatch.setattr(log_mark, "EVENTS_AT_ONCE", 2)
    monkeypatch.setattr(following, "SESSIONS_AT_ONCE", 2)
    owner = make_user()
    sessions = [make_session(owner) for _ in range(7)]
    for session in sessions[1:4]:
        session.destroy()
    assert counting.count(seconds=0) == 2, "a look takes one step at least"
    for session in sessions[4:]:
        work(session)
    before = seen_by(owner)
    count()
    assert seen_by(owner) == before
    assert not counting.wrong_sums()


def test_a_session_that_is_destroyed_leaves_the_figures_at_once_and_nothing_behind():
    session = make_session(project_root="/secret")
    work(session)
    count()
    owner = session.owner
    session.destroy()
    assert figures(owner, period=YEAR).is_empty
    assert Share.objects.count() == 1, "it is yet to be taken out"
    count()
    assert [model.objects.count() for model in (Share, FigureSum, Place)] == [0, 0, 0]


def test_a_user_who_is_deleted_takes_the_figures_along():
    owner, staff = make_user(), make_user(is_staff=True)
    work(make_session(owner))
    count()
    owner.delete()
    assert figures(staff, period=YEAR).is_empty
    count()
    assert not FigureSum.objects.exists()


def test_a_purge_of_messages_leaves_the_calls_in_the_figures():
    session = make_session()
    append(session, asking("a", "b"), answering("a", "[cancelled]"))
    before = figures(session.owner, period=YEAR).tools
    told = stats_of(Session.objects.all())
    archive(session)
    purge("compacted")
    assert not session.tool_calls.exists()
    for _ in range(2):
        assert figures(session.owner, period=YEAR).tools == before
        assert stats_of(Session.objects.all()).tools_usage == told.tools_usage
        count()
    assert counting.miscounted([session.pk]) == []


def test_a_session_that_goes_takes_its_purged_calls_along_and_no_receipt_counts_them():
    session = make_session()
    append(session, asking("a"), answering("a"))
    archive(session)
    purge("compacted")
    session.remove(by="test")
    assert not {"purged_calls", "shares"} & set(purge("deleted").counts)
    assert not PurgedCalls.objects.exists()


def test_calls_that_a_fork_copied_count_where_they_were_made():
    origin = make_session()
    append(origin, asking("a", "b"), answering("a"))
    fork = forks.fork_messages(origin, by="test")
    append(fork, answering("b"), asking("c"))
    (bash,) = figures(origin.owner, period=YEAR).tools
    assert (bash.total, bash.success, bash.open) == (3, 1, 2)
    fork.refresh_from_db()
    assert fork.tool_call_count == 3, "its own page shows them"
    archive(fork)
    purge("compacted")
    assert figures(origin.owner, period=YEAR).tools == [bash]


def test_a_fork_of_a_checkpoint_counts_none_of_its_calls():
    state = checkpoints.State.of({"messages": [says(None, call("1")), result("1")]})
    first = checkpoints.begin(owner=make_user(), source="s", state=state, by="test", title="t", now=NOW)
    forks.fork(first, by="test", now=NOW)
    assert figures(first.session.owner, period=YEAR).all_tools.total == 1


def test_whoever_may_see_it_any_more_or_no_more_is_told_at_once():
    ada, bob = make_user(), make_user()
    session = make_session(ada)
    work(session)
    for visibility, is_seen in (("PUBLIC", True), ("PRIVATE", False)):
        count()
        session.edit(by="test", visibility=visibility)
        for _ in range(2):
            assert figures(bob, period=YEAR).is_empty != is_seen
            assert figures(ada, period=YEAR).turns.count == 1
            count()


def test_agents_and_projects_with_long_names_have_their_places():
    session = make_session(agent_name="ä" * 1000, project_root="/" + "x" * 1999, source="s" * 100)
    work(session)
    before = seen_by(session.owner)
    count()
    assert seen_by(session.owner) == before


@pytest.mark.django_db(transaction=True)
def test_two_that_count_at_once_count_once():
    owner = make_user()
    for _ in range(12):
        work(make_session(owner))
    before = seen_by(owner)

    def run() -> None:
        try:
            count()
        finally:
            connection.close()

    threads = [Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen_by(owner) == before
    assert Share.objects.count() == 12
    assert counting.wrong_sums() == []


def counted_by_an_older_version(session: Session) -> None:
    """Let an older server count a session with the waiting, which knows no column that it does not write."""
    (share,) = Share.objects.filter(session=session)
    FigureSum.objects.filter(turn_seconds__gt=0).update(turn_seconds=F("turn_seconds") + 10)
    share.days["20260301"]["turn_seconds"] += 10
    share.save()
    FigureMark.objects.update(revision=F("revision") + 1)


def test_what_an_older_server_counts_after_the_migration_is_read_from_the_records_and_counted_anew():
    session, other = make_session(), make_session(owner=make_user("bo"))
    work(session)
    work(other)
    count()
    counted_by_an_older_version(session)

    assert figures(session.owner, period=YEAR).all_times.working == 50

    work(session)
    count()  # Whoever finds that out forgets all, also what was right.
    assert figures(session.owner, period=YEAR).all_times.working == 100
    assert figures(other.owner, period=YEAR).all_times.working == 50
    assert counting.uncounted(FigureMark.objects.ours()) == []
    assert not counting.miscounted([session.pk, other.pk])
    assert counting.wrong_sums() == []


def test_additions_after_an_older_servers_do_not_hide_it():
    session = make_session()
    work(session)
    count()
    counted_by_an_older_version(session)
    counting.count_again([session.pk])

    assert FigureMark.objects.ours() is None
    count()
    assert FigureMark.objects.ours() is not None


def test_a_mark_that_an_older_version_made_is_not_ours():
    older = [field.column for field in log_mark.LogMark._meta.local_fields]
    session = make_session()
    work(session)
    with connection.cursor() as cursor:
        columns = ", ".join(["id", *older])
        cursor.execute(f"INSERT INTO koda_sessions_figuremark ({columns}) VALUES (1, 0, 0, 0, '[]')")

    assert FigureMark.objects.ours() is None
    count()
    assert FigureMark.objects.ours() is not None
    assert figures(session.owner, period=YEAR).all_times.working == 50


def test_figures_of_another_edition_are_counted_anew(monkeypatch):
    session = make_session()
    work(session)
    count()
    Share.objects.update(days={})
    FigureSum.objects.all().delete()
    assert figures(session.owner, period=YEAR).all_times.working is None

    monkeypatch.setattr(figure_sum, "EDITION", figure_sum.EDITION - 1)
    assert figures(session.owner, period=YEAR).all_times.working == 50
