"""A koda.db in the tables: of every age, again, and after it has changed."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions import retention
from sessions.importers import Opener, discover
from sessions.importers.feeding import Feed
from sessions.importers.store import DryStore, Store
from sessions.models import Event, File, Message, Metadata, Session, ToolCall, Turn
from tests.commands.test_importsessions import count_messages, run, wait_for
from tests.conftest import ROOT, make_environment, manage
from tests.factories import make_user
from tests.importers.koda_database import AGES, ALL_LATER, HINT, Koda, hold_turn, make_call

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def koda(tmp_path: Path):
    koda = Koda(tmp_path / "db" / "koda.db")
    yield koda
    koda.close()


class Import:
    """An import that may go on: each `pull` takes what is new, as --follow does."""

    def __init__(self, path: Path, *, owner: Any = None, make: type[Store] = Store) -> None:
        (transcript,) = discover(path)
        self.feed = Feed.of(transcript, opener=Opener())
        self.store = make(owner=owner or make_user(), source="koda")

    def pull(self) -> "Import":
        self.store.write(self.feed.pull())
        self.store.flush()
        return self

    @property
    def written(self) -> Any:
        return self.store.written


def everything() -> dict[str, Any]:
    return {
        "sessions": sorted(
            Session.objects.values_list("key", "title", "mode", "message_count", "prompt_tokens", "last_seq")
        ),
        "messages": list(Message.objects.order_by("id").values_list("client_id", "content", "compacted_at")),
        "calls": list(ToolCall.objects.order_by("id").values_list("call_id", "outcome")),
        "metadata": sorted(Metadata.objects.values_list("key", "value")),
        "files": sorted(File.objects.values_list("path", flat=True)),
        "events": Event.objects.count(),
    }


# --- what a row becomes ---------------------------------------------------------


@pytest.mark.parametrize("age", AGES)
def test_a_database_of_each_age_is_read(tmp_path, age):
    koda = Koda(tmp_path / "koda.db", later=AGES[age])
    key = koda.start()
    hold_turn(koda, key)
    Import(koda.path).pull()

    session = Session.objects.get()
    assert (session.key, session.source, session.agent_name) == (key, "koda", "default")
    assert (session.project_root, session.is_imported) == ("/home/ada/lamps", True)
    assert [(m.role, m.content) for m in session.messages.order_by("id")] == [
        ("user", "Count the lamps, 1"), ("assistant", None), ("tool", "nine"), ("assistant", "Nine."),
    ]  # fmt: skip
    assert (session.prompt_tokens, session.completion_tokens, session.api_call_count) == (30, 8, 2)
    has_caches = "cache_read_tokens" in AGES[age]
    assert (session.cache_read_tokens, session.thinking_tokens) == ((4, 2) if has_caches else (0, 0))
    call = ToolCall.objects.get()
    assert (call.name, call.detail, call.outcome, call.took_seconds) == ("Read", "/x", "success", None)


@given(later=st.sets(st.sampled_from(sorted(ALL_LATER))))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_columns_may_come_in_any_mix(tmp_path_factory, later):
    koda = Koda(tmp_path_factory.mktemp("mix") / "koda.db", later=later)
    hold_turn(koda, koda.start(title="Lamps", mode="auto"))
    Import(koda.path).pull()

    session = Session.objects.order_by("-pk").first()
    assert session.message_count == 4
    assert session.title == ("Lamps" if "title" in later else "Count the lamps, 1")
    assert session.mode == ("auto" if "mode" in later else None)
    koda.close()


def test_times_are_utc_and_the_order_is_that_of_the_numbers(koda):
    key = koda.start()
    koda.say(key, "user", "first", created_at="2026-03-01 09:00:05")
    koda.say(key, "assistant", "second", created_at="2026-03-01 09:00:02")
    Import(koda.path).pull()

    session = Session.objects.get()
    assert session.created_at == NINE
    assert [m.content for m in session.messages.order_by("id")] == ["first", "second"]
    assert [m.created_at.second for m in session.messages.order_by("id")] == [5, 2]
    assert session.last_activity_at == NINE.replace(second=5)
    assert (session.state, session.liveness) == ("idle", "resting")


def test_null_empty_and_what_stands_in_between_stay_different(koda):
    key = koda.start()
    for content in (None, "", " "):
        koda.say(key, "user", content)
    koda.say(key, "assistant", None, tool_calls=[])
    koda.say(key, "assistant", "", prompt_tokens=0, completion_tokens=0)
    Import(koda.path).pull()

    messages = list(Message.objects.order_by("id"))
    assert [m.content for m in messages] == [None, "", " ", None, ""]
    assert [m.tool_calls for m in messages] == [None, None, None, [], None]
    assert Session.objects.get().api_call_count == 1
    assert messages[0].usage is None


def test_roles_that_koda_itself_has_forgotten_are_kept(koda):
    koda.say(koda.start(), "phase", 'Planning\n{"phase": 1}')
    Import(koda.path).pull()
    assert Message.objects.get().role == "phase"
    assert Session.objects.get().title is None


def test_what_a_later_koda_keeps_beside_the_messages_is_taken_over(koda):
    key = koda.start(title="  Lamps\nof Ada ", mode="confirm")
    koda.say(key, "assistant", "Nine.", thinking_content="Hm.", agent_name="scout", prompt_tokens=1)
    koda.insert("session_metadata", session_id=key, key="todo", value="- [ ] count")
    koda.insert("session_metadata", session_id=key, key="progress", value="built\x00")
    koda.insert("owned_files", session_id=key, path="/home/ada/lamps/new.py")
    koda.insert("session_events", session_id=key, kind="info", payload="Compacting")
    update = {"type": "child_task_update", "task_id": "t1"}
    koda.insert(
        "session_events", session_id=key, kind="bg_task_update", payload=json.dumps(update), parent_tool_call_id="c1"
    )
    koda.insert("session_events", session_id=key, kind="turn_start", payload="{}")
    Import(koda.path).pull()

    session = Session.objects.get()
    assert (session.title, session.mode) == ("Lamps of Ada", "safe")
    message = session.messages.get()
    assert (message.thinking, message.agent_name) == ("Hm.", "scout")
    assert dict(session.metadata.values_list("key", "value")) == {"todo": "- [ ] count", "progress": "built\ufffd"}
    assert session.files.get().path == "/home/ada/lamps/new.py"
    kept = session.events.exclude(type__startswith="server.").order_by("seq")
    assert [(event.type, event.payload) for event in kept] == [
        ("info", {"message": "Compacting"}),
        ("koda.bg_task_update", {"event": update, "parent_tool_call_id": "c1"}),
        ("koda.turn_start", {"event": {}}),
    ]
    assert (session.state, session.turn_count) == ("idle", 0)


def test_values_that_cannot_be_lose_no_message(koda):
    key = koda.start(created_at="yesterday", agent_name="")
    koda.say(key, "assistant", b"\xff\x00bytes", tool_calls="not json", created_at=None, prompt_tokens=-4)
    koda.say(key, "assistant", 7, tool_calls='{"id": "c1"}', completion_tokens="many")
    koda.say(key, "", "nobody said this")
    koda.say(key, "r" * 99, "x", tool_call_id="c" * 9000, agent_name="a\x00b")
    done = Import(koda.path).pull()

    messages = list(Message.objects.order_by("id"))
    assert [m.content for m in messages] == ["\ufffd\ufffdbytes", "7", "nobody said this", "x"]
    assert [m.role for m in messages] == ["assistant", "assistant", "unknown", "r" * 32]
    assert messages[0].usage.prompt_tokens == 0
    assert done.feed.tally.passed_over["tool_calls that are no array"] == 2


def test_refusals_and_cut_off_calls_end_as_such(koda):
    key = koda.start()
    koda.say(key, "assistant", None, tool_calls=[make_call(name) for name in ("c1", "c2", "c3")])
    koda.say(key, "tool", "User rejected this action with feedback: no", tool_call_id="c1")
    koda.say(key, "tool", "[cancelled]", tool_call_id="c2")
    Import(koda.path).pull()
    assert dict(ToolCall.objects.values_list("call_id", "outcome")) == {"c1": "rejected", "c2": "aborted", "c3": None}


def test_a_content_that_is_too_large_is_cut_and_says_so(koda):
    koda.say(koda.start(), "user", "é" * (9 * 1024 * 1024))
    Import(koda.path).pull()
    content = Message.objects.get().content
    assert len(content.encode()) <= 16 * 1024 * 1024
    assert content.endswith("18,874,368 bytes are too many.]")


def test_sessions_in_which_nothing_was_said_are_passed_over_and_counted(koda):
    koda.start()
    kept = koda.start()
    koda.insert("session_metadata", session_id=kept, key="todo", value="- [ ] begin")
    done = Import(koda.path).pull()
    assert Session.objects.get().key == kept
    assert done.feed.tally.passed_over == {"session in which nothing was said": 1}


# --- sub-agents -------------------------------------------------------------------


def send_scout(koda: Koda, parent: str, *, prompt: str = "Look north", call_id: str = "c1", **arguments: Any) -> None:
    call = make_call(call_id, "InvokeAgent", agent_name="scout", prompt=prompt, **arguments)
    koda.say(parent, "assistant", None, tool_calls=[call])


def make_scout(koda: Koda, *, prompt: str = "Look north", agent_name: str = "scout") -> str:
    child = koda.start(agent_name=agent_name)
    koda.say(child, "user", prompt)
    koda.say(child, "assistant", "Snow.")
    return child


def parent_of(child: str) -> tuple[str | None, str | None]:
    session = Session.objects.get(key=child)
    return (session.parent.key if session.parent else None, session.parent_tool_call_id)


def test_a_sub_agent_whose_call_is_plain_is_tied_to_it(koda):
    parent = koda.start(mode="plan")
    send_scout(koda, parent)
    child = make_scout(koda)
    koda.say(parent, "tool", "Snow.", tool_call_id="c1")
    Import(koda.path).pull()
    assert parent_of(child) == (parent, "c1")


def test_a_prompt_of_ones_own_after_the_result_is_no_errand(koda):
    parent = koda.start()
    send_scout(koda, parent)
    koda.say(parent, "tool", "Snow.", tool_call_id="c1")
    child = make_scout(koda)
    Import(koda.path).pull()
    assert parent_of(child) == (None, None)


@pytest.mark.parametrize("doubt", ["two calls", "two children", "another agent", "another prompt", "goes on"])
def test_where_there_is_doubt_nothing_is_tied(koda, doubt):
    parent = koda.start()
    send_scout(koda, parent, **({"session_id": "s"} if doubt == "goes on" else {}))
    if doubt == "two calls":
        send_scout(koda, parent, call_id="c2")
    child = make_scout(
        koda,
        agent_name="poet" if doubt == "another agent" else "scout",
        prompt="Look south" if doubt == "another prompt" else "Look north",
    )
    if doubt == "two children":
        make_scout(koda)
    Import(koda.path).pull()
    assert parent_of(child) == (None, None)


def test_a_sub_agent_that_comes_while_we_follow_is_tied(koda):
    parent = koda.start()
    koda.say(parent, "user", "Send a scout")
    following = Import(koda.path).pull()
    send_scout(koda, parent)
    following.pull()
    child = make_scout(koda)
    following.pull()
    assert parent_of(child) == (parent, "c1")


# --- again --------------------------------------------------------------------------


def fill(koda: Koda) -> str:
    key = koda.start(title="Lamps", mode="auto")
    hold_turn(koda, key)
    hold_turn(koda, key, number=2)
    koda.compact(key, preserve=2)
    koda.insert("session_metadata", session_id=key, key="todo", value="- [x] count")
    koda.insert("owned_files", session_id=key, path="/x")
    koda.insert("session_events", session_id=key, kind="info", payload="Compacted")
    send_scout(koda, key, call_id="c9")
    make_scout(koda)
    return key


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
    koda.purge()
    later = (first if is_followed else Import(koda.path, owner=owner)).pull()

    session = Session.objects.get()
    assert (session.message_count, session.messages.count()) == (3, 3)
    assert later.written.removed_messages == 3
    assert (session.prompt_tokens, session.api_call_count, session.tool_call_count) == (30, 2, 1)
    assert session.events.get(type="server.messages_purged").payload == {"count": 3, "by": "importer"}


def test_what_was_purged_here_does_not_come_back(koda):
    key, owner = koda.start(), make_user()
    hold_turn(koda, key)
    koda.compact(key, preserve=1)
    Import(koda.path, owner=owner).pull()
    retention.purge_archived(owner, min_age_days=0, by="user")
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


# --- turns --------------------------------------------------------------------------


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


# --- the file ------------------------------------------------------------------------


def test_koda_may_write_while_it_is_read_and_finds_its_file_as_it_was(koda):
    hold_turn(koda, koda.start())
    before = hashlib.sha256(koda.path.read_bytes()).hexdigest()
    koda.update("BEGIN IMMEDIATE")
    koda.say(koda.start("s2"), "user", "not committed")
    Import(koda.path).pull()
    koda.update("COMMIT")
    assert Session.objects.count() == 1
    assert hashlib.sha256(koda.path.read_bytes()).hexdigest() == before


def test_news_are_what_was_committed_or_put_in_its_place(koda, tmp_path):
    key = koda.start()
    koda.say(key, "user", "One")
    following = Import(koda.path)
    assert following.feed.has_news()
    following.pull()
    assert not following.feed.has_news()
    koda.update("BEGIN")
    koda.say(key, "assistant", "Two")
    assert not following.feed.has_news()
    koda.update("COMMIT")
    assert following.feed.has_news()
    following.pull()
    other = Koda(tmp_path / "other.db")
    other.say(other.start(), "user", "Anew")
    other.close()
    koda.close()
    for name in ("koda.db-wal", "koda.db-shm"):
        koda.path.with_name(name).unlink(missing_ok=True)
    other.path.replace(koda.path)
    assert following.feed.has_news()
    following.pull()
    assert Session.objects.active().count() == 2
    assert Message.objects.count() == 3


BROKEN = {
    "empty": (b"", "is empty"),
    "no database": (b"hello" * 100, "no transcript of a known format"),
    "cut short": (None, "cannot be read"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_ends_in_a_sentence(koda, tmp_path, kind):
    make_user("owner")
    hold_turn(koda, koda.start())
    koda.close()
    data, words = BROKEN[kind]
    path = tmp_path / "broken.db"
    path.write_bytes(koda.path.read_bytes()[:5000] if data is None else data)
    with pytest.raises(CommandError, match=words):
        run(path)
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (["lamps (id)"], "no table sessions"),
        (["sessions (id)", "lamps (id)"], "no table messages"),
        (["sessions (id)", "messages (id, session_id, text)"], "messages have no content, role"),
        (["sessions (id)", "messages (id, session_id, role, content)"], "know no tools or tokens"),
    ],
)
def test_a_foreign_database_ends_in_a_sentence(tmp_path, tables, words):
    make_user("owner")
    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table}")
    connection.close()
    with pytest.raises(CommandError, match=words):
        run(path)


def test_pages_that_turn_out_broken_fail_the_command(koda):
    make_user("owner")
    key = koda.start()
    for number in range(200):
        koda.say(key, "user", f"{number}" * 200)
    koda.close()
    data = bytearray(koda.path.read_bytes())
    data[8 * 4096 :] = os.urandom(len(data) - 8 * 4096)
    koda.path.write_bytes(data)
    with pytest.raises(CommandError, match="1 of 1 files"):
        run(koda.path)


def test_keys_are_never_opened(koda):
    hold_turn(koda, koda.start())
    make_user("owner")
    (koda.path.parent / "keys.toml").write_text('anthropic = "secret"')
    (koda.path.parent / "settings.toml").write_text('model = "x"')
    opened: list[str] = []
    is_listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if is_listening and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(listen)
    told = json.loads(run(koda.path.parent, json=True))
    is_listening = False
    assert (told["files"], told["sessions"], told["messages"], told["failures"]) == (1, 1, 4, {})
    assert any(path.endswith("settings.toml") for path in opened)
    assert not any(path.endswith("keys.toml") for path in opened)


def test_the_command_names_the_source_after_the_format(koda):
    make_user("owner")
    hold_turn(koda, koda.start())
    assert run(koda.path).startswith("Imported 1 new session and 4 new messages from 1 file")
    assert Session.objects.get().source == "koda"


def test_large_databases_are_read_in_pages(koda, django_assert_max_num_queries):
    key = koda.start()
    koda.update("BEGIN")
    for number in range(1201):
        koda.say(key, "user", f"{number}")
    koda.update("COMMIT")
    with django_assert_max_num_queries(120):
        Import(koda.path).pull()
    assert [m.content for m in Message.objects.order_by("id")] == [str(number) for number in range(1201)]


# --- in a process of its own ---------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_follow_tails_a_koda_that_goes_on_working(koda, tmp_path):
    environment = make_environment(tmp_path / "data")
    manage(environment, "setup", "--no-static")
    key = koda.start()
    hold_turn(koda, key)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "importsessions", str(koda.path), "--follow", "--json"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: count_messages(environment) == 4)
        hold_turn(koda, key, number=2)
        wait_for(lambda: count_messages(environment) == 8)
        koda.compact(key, preserve=1)
        wait_for(lambda: count_messages(environment) == 10)
        koda.purge()
        wait_for(lambda: count_messages(environment) == 3)
        koda.say(koda.start(), "user", "Another")
        wait_for(lambda: count_messages(environment) == 4)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    told = json.loads(out)
    assert (told["sessions"], told["messages"], told["compactions"], told["removed_messages"]) == (2, 11, 1, 7)
