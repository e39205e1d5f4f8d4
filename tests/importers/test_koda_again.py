"""A koda.db that has changed since it was imported, and the turns that happen while it is followed."""

from datetime import UTC, datetime

import pytest

from sessions.importers.store import DryStore
from sessions.models import Message, Session, Turn
from tests.factories import make_user
from tests.importers.imports import Import, everything
from tests.importers.koda_database import HINT, fill, hold_turn, make_call
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_a_second_import_changes_nothing(koda):
    fill(koda)
    owner = make_user()
    Import(koda.path, owner=owner).pull()
    before = everything()
    again = Import(koda.path, owner=owner).pull().written

    assert everything() == before
    assert (again.sessions, again.messages, again.compactions, again.removed_messages) == (0, 0, 0, 0)


def test_a_dry_run_counts_the_same_and_writes_nothing(koda):
    fill(koda)
    dry = Import(koda.path, make=DryStore).pull().written
    assert not Session.objects.exists()
    wet = Import(koda.path).pull().written
    assert (dry.sessions, dry.messages) == (wet.sessions, wet.messages)


def test_compacted_rows_come_archived(koda):
    key = koda.start()
    hold_turn(koda, key)
    koda.compact(key, preserve=1)
    Import(koda.path).pull()

    session = Session.objects.get()
    archived = session.messages.archived().order_by("id")
    assert [row.role for row in archived] == ["user", "assistant", "tool"]
    assert {row.compacted_at for row in archived} == {NINE.replace(hour=10)}
    assert [row.content for row in session.messages.unarchived().order_by("id")][0::2] == ["Nine.", HINT]
    assert session.events.get(type="server.compacted").payload == {"archived": 3, "by": "importer"}
    assert session.prompt_tokens == 30


@pytest.mark.parametrize("is_followed", [True, False])
def test_compactions_after_the_import_archive_what_was_imported(koda, is_followed):
    key, owner = koda.start(), make_user()
    hold_turn(koda, key)
    first = Import(koda.path, owner=owner).pull()
    ids = list(Message.objects.order_by("id").values_list("pk", flat=True))
    koda.compact(key, preserve=1)
    koda.say(key, "user", "And now?")
    koda.compact(key, preserve=1, at="2026-03-01 11:00:00")
    (first if is_followed else Import(koda.path, owner=owner)).pull()

    session = Session.objects.get()
    archived = session.messages.archived().order_by("id")
    assert [row.compacted_at.hour for row in archived] == [10, 10, 10, 11, 11, 11]
    assert list(archived.values_list("pk", flat=True))[:4] == ids
    assert session.message_count == 9
    assert session.events.filter(type="server.compacted").count() == 2


@pytest.mark.parametrize("is_followed", [True, False])
def test_rows_that_koda_purged_are_removed_and_usage_stays(koda, is_followed):
    key, owner = koda.start(), make_user()
    hold_turn(koda, key)
    koda.compact(key, preserve=1)
    first = Import(koda.path, owner=owner).pull()
    gone = list(Message.objects.archived().order_by("id").values_list("pk", flat=True))
    assert len(gone) == 3
    koda.purge()
    later = (first if is_followed else Import(koda.path, owner=owner)).pull()

    session = Session.objects.get()
    assert (session.message_count, session.messages.count()) == (3, 3)
    assert later.written.removed_messages == 3
    assert (session.prompt_tokens, session.api_call_count, session.tool_call_count) == (30, 2, 1)
    told = session.events.get(type="server.messages_purged").payload
    assert told == {"count": 3, "ranges": [[gone[0], gone[2]]], "by": "importer"}


def test_what_was_purged_here_does_not_come_back(koda):
    key, owner = koda.start(), make_user()
    hold_turn(koda, key)
    koda.compact(key, preserve=1)
    Import(koda.path, owner=owner).pull()
    purge_archived(owner, min_age_days=0, by="user")
    koda.say(key, "user", "And now?")
    assert Import(koda.path, owner=owner).pull().written.messages == 1
    assert Session.objects.get().message_count == 4


def test_an_older_copy_of_the_database_takes_nothing_away(koda, tmp_path):
    key, owner = koda.start(), make_user()
    hold_turn(koda, key)
    copy = tmp_path / "copy.db"
    koda.update("VACUUM INTO ?", str(copy))
    hold_turn(koda, key, number=2)
    Import(koda.path, owner=owner).pull()
    Import(copy, owner=owner).pull()
    assert Session.objects.get().message_count == 8


def test_a_session_seen_to_be_deleted_is_deleted_here_softly(koda):
    key, other = koda.start(), koda.start()
    for session_id in (key, other):
        hold_turn(koda, session_id)
    following = Import(koda.path).pull()
    koda.delete(key)
    following.pull()
    assert Session.objects.active().get().key == other
    assert Session.objects.get(key=key).is_deleted
    assert following.written.removed_sessions == 1


def test_a_session_that_another_import_lacks_stays(koda):
    key, owner = koda.start(), make_user()
    hold_turn(koda, key)
    Import(koda.path, owner=owner).pull()
    koda.delete(key)
    Import(koda.path, owner=owner).pull()
    assert Session.objects.active().get().key == key


def test_titles_modes_files_and_metadata_follow(koda):
    key = koda.start()
    koda.say(key, "user", "Count")
    for path in ("/x", "/y"):
        koda.insert("owned_files", session_id=key, path=path)
    following = Import(koda.path).pull()
    koda.update("UPDATE sessions SET title = 'Lamps', mode = 'plan'")
    koda.update("DELETE FROM owned_files WHERE path = '/x'")
    koda.insert("session_metadata", session_id=key, key="todo", value="- [ ] a")
    following.pull()
    koda.update("UPDATE session_metadata SET value = '- [x] a'")
    koda.insert("session_events", session_id=key, kind="info", payload="later")
    following.pull()
    before = everything()
    following.pull()

    session = Session.objects.get()
    assert (session.title, session.mode) == ("Lamps", "plan")
    assert [file.path for file in session.files.all()] == ["/y"]
    assert session.metadata.get().value == "- [x] a"
    assert session.events.filter(type="info").count() == 1
    assert everything() == before


def test_an_answer_that_is_being_written_is_waited_for(koda):
    key, now = koda.start(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    koda.say(key, "user", "Count", created_at=now)
    row = koda.say(key, "assistant", "Ni", created_at=now, completed_at=None)
    following = Import(koda.path).pull()
    assert Message.objects.count() == 1
    assert following.feed.tally.passed_over == {"answer that is not finished": 1}
    koda.update("UPDATE messages SET content = 'Nine.', completed_at = ? WHERE id = ?", now, row)
    following.pull()
    assert Message.objects.order_by("id").last().content == "Nine."
    assert not following.feed.tally.passed_over


@pytest.mark.parametrize("is_followed_by_others", [True, False])
def test_an_answer_that_was_cut_off_is_taken_as_it_is(koda, is_followed_by_others):
    key = koda.start()
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    written = now if is_followed_by_others else "2026-03-01 09:00:00"
    koda.say(key, "assistant", "Ni", created_at=written, completed_at=None)
    if is_followed_by_others:
        koda.say(key, "user", "Go on", created_at=now)
    Import(koda.path).pull()
    assert Message.objects.order_by("id").first().content == "Ni"


def test_turns_that_happen_while_we_follow_are_told_and_raise_no_alarm(koda):
    key = koda.start()
    hold_turn(koda, key)
    following = Import(koda.path).pull()
    assert not Turn.objects.exists()
    prompt = koda.say(key, "user", "Again")
    following.pull()
    session = Session.objects.get()
    assert (session.state, session.turn_id, session.liveness) == ("running", f"koda:{prompt}", "unknown")
    assert session.next_deadline_at is None
    koda.say(key, "assistant", None, tool_calls=[make_call("c7")])
    koda.say(key, "tool", "nine", tool_call_id="c7")
    koda.compact(key, preserve=1)
    following.pull()
    session.refresh_from_db()
    assert session.state == "running"
    koda.say(key, "assistant", "Nine.")
    following.pull()
    session.refresh_from_db()
    turn = session.turns.get()
    assert (session.state, session.liveness, turn.reason) == ("idle", "resting", "complete")
    assert session.messages.filter(turn_id=turn.turn_id).count() == 6


def test_a_prompt_after_an_interrupted_turn_opens_the_next(koda):
    key = koda.start()
    koda.say(key, "user", "One")
    following = Import(koda.path).pull()
    koda.say(key, "user", "Two")
    koda.say(key, "assistant", None, tool_calls=[make_call("c1")])
    koda.say(key, "user", "Three")
    koda.say(key, "assistant", "Done.")
    following.pull()
    assert list(Turn.objects.order_by("id").values_list("reason", flat=True)) == ["abandoned", "complete"]
    assert Session.objects.get().state == "idle"


@pytest.mark.parametrize(("goes_on", "reason"), [(False, "complete"), (True, "abandoned")])
def test_a_turn_that_ended_while_nobody_followed_is_closed_by_the_next_import(koda, goes_on, reason):
    key, owner = koda.start(), make_user()
    koda.say(key, "user", "Zero")
    following = Import(koda.path, owner=owner).pull()
    koda.say(key, "user", "One")
    following.pull()
    assert Session.objects.get().state == "running"
    koda.say(key, "user" if goes_on else "assistant", "Two")
    Import(koda.path, owner=owner).pull()
    assert Session.objects.get().state == "idle"
    assert Turn.objects.get().reason == reason
