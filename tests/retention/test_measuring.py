"""retention.measure goes on from what it measured before, and comes to what all records say."""

from collections.abc import Callable

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from sessions import checkpoints, compaction, forks, protocol, retention, revisions, transcripts
from sessions.checkpoints import State
from sessions.models import Footprint, Session
from sessions.retention import measuring
from tests.conftest import ROOT
from tests.engine_events import CALL, RESULT, START, end
from tests.factories import make_events, make_message, make_session
from tests.message_drafts import user
from tests.purging import purge
from tests.steps import counted_steps

pytestmark = pytest.mark.django_db
Act = Callable[[Session], object]


def tell(*texts: str) -> Act:
    """Return what keeps a checkpoint of these messages."""
    messages = [{"role": "user", "content": text} for text in texts]
    return lambda session: checkpoints.add(session.pk, State.of({"messages": messages, "of": len(texts)}), by="test")


ACTS: dict[str, Act] = {
    "a message": make_message,
    "an empty message": lambda session: make_message(session, content=None, thinking="größe"),
    "a turn": lambda session: make_events(session, START, CALL, RESULT, end()),
    "an unknown event": lambda session: make_events(session, {"type": "own", "text": "größe"}),
    "a heartbeat": lambda session: protocol.heartbeat(session.pk, activity="test"),
    "a state": lambda session: protocol.set_state(session.pk, "running", turn_id=None, by="test"),
    "a title": lambda session: session.edit(by="test", title="new"),
    "a compaction": lambda session: compaction.compact(session.pk, summary="s", preserve_count=1, by="test"),
    "the last one removed": lambda session: revisions.remove_last(session.pk, by="test"),
    "the last one replaced": lambda session: revisions.replace_last(session.pk, role="user", content="xyz", by="test"),
    "cleared": lambda session: revisions.clear(session.pk, by="test"),
    "a checkpoint": tell("a"),
    "a checkpoint that goes on": tell("a", "b", "c"),
    "a checkpoint that goes elsewhere": tell("a", "z"),
    "a copy": lambda session: forks.fork_whole(session, by="test"),
    "archived ones purged": lambda _session: purge("compacted"),
    "old words purged": lambda _session: purge("events"),
    "a removal": lambda session: session.remove(by="test"),
    "a destruction": lambda _session: purge("deleted"),
}  # fmt: skip


def refreshed(session: Session) -> Session | None:
    return Session.objects.filter(pk=session.pk).first()


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.booleans()), max_size=12))
def test_whatever_happens_it_comes_to_what_a_measure_from_the_first_record_comes_to(done):
    session = make_session()
    for act, is_measured in done:
        here = refreshed(session)
        if here is not None:
            ACTS[act](here)
        if is_measured:
            retention.measure(seconds=60)
            assert retention.mismeasured(list(Session.objects.values_list("pk", flat=True))) == []
    retention.measure(seconds=60)
    assert retention.mismeasured(list(Session.objects.values_list("pk", flat=True))) == []


@pytest.mark.parametrize("act", sorted(set(ACTS) - {"a destruction"}))
def test_after_one_act_the_next_measure_knows(act):
    session = make_session()
    for text in ("a", "b", "c"):
        make_message(session, content=text)
    compaction.compact(session.pk, summary="s", preserve_count=1, by="test")
    tell("a")(session)
    make_events(session, START, end())
    retention.measure(seconds=60)
    ACTS[act](Session.objects.get(pk=session.pk))
    retention.measure(seconds=60)
    assert retention.mismeasured([session.pk]) == []


def test_what_is_rewritten_while_it_is_measured_is_found_the_next_time(monkeypatch):
    session = make_session()
    for _ in range(3):
        make_message(session, content="words")
    add, read, compacted = measuring._add, [], []

    def add_late(found, model, ids, **figures):
        read.append(model)
        if len(read) == 2:
            compacted.append(compaction.compact(session.pk, summary="s", preserve_count=0, by="test"))
        add(found, model, ids, **figures)

    monkeypatch.setattr(measuring, "_add", add_late)
    retention.measure(seconds=60)
    monkeypatch.undo()
    assert compacted == [3]
    retention.measure(seconds=60)
    assert retention.mismeasured([session.pk]) == []


def test_one_measured_by_an_older_server_is_measured_from_the_first_record():
    session = make_session()
    make_message(session)
    retention.measure(seconds=60)
    Footprint.objects.update(message_to=None, seq_to=None, amounts=None, size=1)
    make_message(session)
    retention.measure(seconds=60)
    assert retention.mismeasured([session.pk]) == []


def test_an_older_server_beside_this_one_changes_nothing_of_what_is_gone_on_from():
    session = make_session()
    make_message(session)
    retention.measure(seconds=60)
    make_message(session)
    Footprint.objects.update(message_count=2, size=12345)  # as the older one writes it
    make_message(session)
    retention.measure(seconds=60)
    assert retention.mismeasured([session.pk]) == []


def test_what_is_taken_to_add_is_what_the_server_writes():
    told = (ROOT / "docs" / "events.md").read_text()
    assert [name for name in measuring._ADDING if f"### {name}\n" not in told] == []


@pytest.mark.skipif("sqlite" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite counts its steps")
def test_it_costs_by_what_came_and_not_by_what_is_there():
    steps = {}
    for size in (10, 1_000, 10_000):
        session = make_session()
        for first in range(0, size, 500):
            count = min(500, size - first)
            transcripts.append(session.pk, [user("some words") for _ in range(count)])
            make_events(session, *({"type": "info", "n": number} for number in range(count)))
        retention.measure(seconds=60)
        make_message(session)
        with counted_steps() as counted:
            retention.measure(seconds=60)
        steps[size] = counted.count
    assert steps[10_000] <= steps[1_000] * 1.05 <= steps[10] * 1.1, steps
