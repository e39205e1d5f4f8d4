"""following: figures and sizes hold what was written, in whatever order it was committed, and nobody tries for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from sessions import counting, following, retention
from sessions.exceptions import Unavailable
from sessions.models import FigureMark, Footprint, FootprintMark, Session, log_mark
from sessions.stats import Period, figures
from tests.engine_events import NOW, START, end
from tests.factories import make_events, make_session, make_user

YEAR = Period.of_days(366, now=NOW)
only_where_many_write = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="on SQLite one writes after the other"
)
pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def writer_of(session: Session, *, is_undone: bool = False) -> Iterator[None]:
    """Let somebody else have written a turn of this session, which is there only when the block ends."""
    has_written, may_end = Signal(), Signal()

    def write() -> None:
        try:
            with transaction.atomic():
                make_events(session, START, end(), now=NOW)
                has_written.set()
                may_end.wait(20)
                transaction.set_rollback(is_undone)
        finally:
            connection.close()

    thread = Thread(target=write)
    thread.start()
    assert has_written.wait(20)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


def keep() -> tuple[int, int]:
    """Return of how many sessions the figures and the sizes were made anew."""
    return counting.count(seconds=60), retention.measure(seconds=60)


def turns_seen_by(owner) -> int:
    return figures(owner, period=YEAR).turns.count


def sizes() -> dict[int, int]:
    return dict(Footprint.objects.values_list("session", "size"))


@only_where_many_write
def test_what_was_written_before_and_committed_after_the_mark_is_found_though_nothing_follows():
    owner = make_user()
    slow, quick = make_session(owner), make_session(owner)
    keep()
    before = sizes()
    with writer_of(slow):
        make_events(quick, START, end(), now=NOW)
        assert keep() == (1, 1)
        assert keep() == (0, 0), "nothing is made again because of what is missing"
        assert turns_seen_by(owner) == 1
    assert turns_seen_by(owner) == 2, "it is read beside what is kept"
    assert keep() == (1, 1)
    assert turns_seen_by(owner) == 2
    assert sizes()[slow.pk] > before[slow.pk]
    assert counting.miscounted([slow.pk, quick.pk]) == retention.mismeasured([slow.pk, quick.pk]) == []
    assert [mark.objects.get().unseen for mark in (FigureMark, FootprintMark)] == [[], []]


@only_where_many_write
def test_what_was_undone_is_waited_for_no_longer_than_its_writer_lives():
    owner = make_user()
    slow, quick = make_session(owner), make_session(owner)
    keep()
    with writer_of(slow, is_undone=True):
        make_events(quick, START, end(), now=NOW)
        keep()
        assert FigureMark.objects.get().unseen
    assert keep() == (0, 0)
    assert FigureMark.objects.get().unseen == FootprintMark.objects.get().unseen == []


@only_where_many_write
def test_a_writer_who_came_after_a_gap_does_not_hold_it():
    owner = make_user()
    undone, slow, quick = (make_session(owner) for _ in range(3))
    keep()
    with writer_of(undone, is_undone=True):
        make_events(quick, START, end(), now=NOW)
        keep()
    with writer_of(slow):
        keep()
        assert FigureMark.objects.get().unseen == []


@only_where_many_write
def test_the_first_round_waits_for_who_writes_when_it_begins_and_is_exact():
    owner = make_user()
    slow, quick = make_session(owner), make_session(owner)
    with writer_of(slow):
        make_events(quick, START, end(), now=NOW)
        assert counting.count(seconds=0) == retention.measure(seconds=0) == 0
        assert turns_seen_by(owner) == 1
    assert keep() == (2, 2)
    assert turns_seen_by(owner) == 2
    assert counting.miscounted([slow.pk]) == retention.mismeasured([slow.pk]) == []


@only_where_many_write
def test_before_one_gap_too_many_a_mark_stands_still(monkeypatch):
    monkeypatch.setattr(log_mark, "GAPS_AT_MOST", 1)
    owner = make_user()
    slow, slower, quick = (make_session(owner) for _ in range(3))
    keep()
    with writer_of(slow):
        make_events(quick, START, now=NOW)
        newest = quick.events.latest("pk").pk
        with writer_of(slower):
            make_events(quick, end(), now=NOW)
            keep()
            assert FigureMark.objects.get().event == newest
            assert turns_seen_by(owner) == 1
        keep()
        assert turns_seen_by(owner) == 2
    keep()
    assert turns_seen_by(owner) == 3
    assert FigureMark.objects.get().event > newest


def test_gaps_are_what_is_missing_between_numbers():
    assert log_mark.gaps_of([4, 5, 8], after=2) == [[3, 3], [6, 7]]
    assert log_mark.gaps_of([3], after=2) == log_mark.gaps_of([], after=2) == []


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL is asked who writes")
def test_on_sqlite_nobody_is_asked_who_writes(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert log_mark.writers_now() == set()


def refuse(_rows: list[int]) -> None:
    raise IntegrityError("the owner is missing")


def test_what_is_refused_every_time_ends_with_what_refuses_it():
    session = make_session()
    counting.count(seconds=60)
    follower = following.Follower(name="figures", marks=FigureMark, read=list, write=refuse)
    with pytest.raises(IntegrityError, match="the owner is missing"):
        follower.keep_again([session.pk])
    make_events(session, START)
    with pytest.raises(IntegrityError, match="the owner is missing"):
        follower.catch_up(seconds=60)


def test_when_somebody_always_comes_before_it_is_given_up_and_said():
    session = make_session()
    counting.count(seconds=60)

    def read(ids: list[int]) -> list[int]:
        FigureMark.objects.update(revision=F("revision") + 1)
        return list(ids)

    follower = following.Follower(name="figures", marks=FigureMark, read=read, write=refuse)
    with pytest.raises(Unavailable, match="Others change the figures all the time"):
        follower.keep_again([session.pk])
    make_events(session, START)
    assert follower.catch_up(seconds=60) == 0


def test_beside_somebody_who_never_pauses_only_what_was_there_is_done():
    session = make_session()
    counting.count(seconds=60)
    reads: list[list[int]] = []

    def read(ids: list[int]) -> list[int]:
        assert len(reads) < 3, "it goes on for as long as others do"
        reads.append(list(ids))
        make_events(session, {"type": "info"})
        return list(ids)

    follower = following.Follower(name="figures", marks=FigureMark, read=read, write=lambda _rows: None)
    make_events(session, START)
    assert follower.catch_up(seconds=60) == 1
    assert follower.catch_up(seconds=60) == 1, "what came meanwhile is found the next time"
    assert reads == [[session.pk]] * 2
