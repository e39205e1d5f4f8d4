"""ZeroClaw's sessions.db: what is read of it, in every age of it, and what is left out."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError

from sessions.importers.store import DryStore
from sessions.models import Alarm, Message, Session, Turn
from tests.commands.test_importsessions import run
from tests.factories import make_session, make_user
from tests.importers.imports import Import, everything
from tests.importers.zeroclaw_files import AGES, NINE, ZeroClaw

pytestmark = pytest.mark.django_db
BORN = datetime(2026, 3, 1, 9, 0, 0, 123456, UTC)
TEN = "2026-03-01T10:00:00+00:00"


def read(claw: ZeroClaw, **more) -> Import:
    return Import(claw.path, source="zeroclaw", **more).pull()


def contents(key: str = "k") -> list[tuple[str, str]]:
    return list(Session.objects.active().get(key=key).messages.order_by("id").values_list("role", "content"))


@pytest.mark.parametrize("age", AGES)
def test_a_database_of_every_age_comes_whole(tmp_path, age):
    claw = ZeroClaw(tmp_path / "sessions.db", later=AGES[age])
    claw.append("gw_1", "user", "Count the lamps")
    claw.append("telegram_ada", "user", "Good morning")
    claw.append("gw_1", "assistant", "Nine.", at=TEN)
    if age != "0.5.8":
        claw.set("gw_1", name="  the Lamps ")
    told = read(claw).written
    claw.close()

    assert (told.sessions, told.messages) == (2, 3)
    session = Session.objects.get(key="gw_1")
    assert contents("gw_1") == [("user", "Count the lamps"), ("assistant", "Nine.")]
    assert (session.agent_name, session.source, session.is_imported) == ("zeroclaw", "zeroclaw", True)
    assert (session.created_at, session.last_activity_at) == (BORN, datetime(2026, 3, 1, 10, tzinfo=UTC))
    assert session.given_name == (None if age == "0.5.8" else "the Lamps")
    assert (session.title, session.message_count) == ("Count the lamps" if age == "0.5.8" else "the Lamps", 2)
    assert (session.state, session.liveness) == ("idle", "resting")


def test_who_and_where_come_with_the_session(claw):
    claw.append("slack_x", "user", "[2026-03-01 09:00:00 CET] Count the lamps")
    claw.set("slack_x", agent_alias="butler", channel_id="slack.home", room_id="C1", sender_id="U1")
    read(claw)
    session = Session.objects.get()
    assert session.agent_name == "butler"
    assert dict(session.metadata.values_list("key", "value")) == {
        "channel_id": "slack.home", "room_id": "C1", "sender_id": "U1"
    }  # fmt: skip
    assert session.title == "Count the lamps", "the clock is no part of a title"
    assert session.given_name is None
    assert contents("slack_x") == [("user", "[2026-03-01 09:00:00 CET] Count the lamps")], "and stays in what was said"


@pytest.mark.parametrize("key", ["a/../b", " ", "😀" * 500, "K" * 1024, "ключ", "a\nb"])
def test_a_key_stays_as_it_is_so_that_a_client_can_go_on_by_it(claw, key):
    claw.append(key, "user", "hello")
    read(claw)
    assert Session.objects.get().key == key


def test_keys_that_cannot_be_are_kept_apart(claw):
    for key in ("", "a\0b", "K" * 1025, "K" * 1026):
        claw.append(key, "user", "hello")
    assert read(claw).written.sessions == 4
    assert Session.objects.count() == 4


def test_calls_and_results_of_channels_are_taken_out_of_their_json(claw):
    call = {"id": "c1", "name": "shell", "arguments": '{"command": "ls"}'}
    told = {"content": "Let me look.", "tool_calls": [call], "reasoning_content": "Hm."}
    claw.append("k", "user", "Count")
    claw.append("k", "assistant", json.dumps(told))
    claw.append("k", "tool", json.dumps({"tool_call_id": "c1", "content": "nine"}))
    claw.append("k", "assistant", '{"lamps": 9}')
    read(claw)
    assert contents() == [
        ("user", "Count"),
        ("assistant", "Let me look."),
        ("tool", "nine"),
        ("assistant", '{"lamps": 9}'),
    ]
    session = Session.objects.get()
    assert session.tool_calls.get().outcome == "success"
    assert session.tool_calls.get().name == "shell"
    assert session.messages.get(tool_calls__isnull=False).thinking == "Hm."


def test_json_of_any_depth_stops_no_import(claw):
    depths = [99, 150, *range(300, 1000, 7)]
    for depth in depths:
        deep = "[" * depth + "]" * depth
        claw.append("k", "tool", f'{{"tool_call_id": "c", "content": {deep}}}')
        claw.append("k", "assistant", f'{{"content": null, "tool_calls": [{deep}]}}')
    Import(claw.path, source="zeroclaw").pull()
    assert Session.objects.get().message_count == 2 * len(depths)


def test_what_cannot_be_shown_in_lists_is_passed_over_and_counted(claw):
    claw.append("empty", "user", "x")
    claw.remove_last("empty")
    claw.append("orphan", "user", "x")
    claw.update("DELETE FROM session_metadata WHERE session_key = 'orphan'")
    claw.append("k", "critic", "x")
    following = read(claw)
    assert following.written.sessions == 1
    assert following.feed.tally.passed_over == {"session in which nothing was said": 1, "message of no session": 1}
    assert contents() == [("critic", "x")]


def test_the_file_is_as_it_was_and_its_writer_is_not_held_up(claw):
    claw.append("k", "user", "x")
    before = hashlib.sha256(claw.path.read_bytes()).hexdigest()
    claw.update("BEGIN IMMEDIATE")
    claw.append("k", "user", "not committed")
    read(claw)
    claw.update("COMMIT")
    assert contents() == [("user", "x")]
    assert hashlib.sha256(claw.path.read_bytes()).hexdigest() == before


def test_history_runs_nothing_and_raises_no_alarm(claw):
    claw.append("k", "user", "x")
    claw.set("k", state="running", turn_id="t", turn_started_at=NINE)
    claw.append("e", "user", "x")
    claw.set("e", state="error", turn_id="t")
    read(claw)
    assert {(s.state, s.liveness, s.next_deadline_at) for s in Session.objects.all()} == {("idle", "resting", None)}
    assert not Turn.objects.exists()
    assert not Alarm.objects.exists()


def test_again_nothing_is_new(claw):
    owner = make_user()
    for key in ("a", "b"):
        for number in range(3):
            claw.append(key, "user", f"{number}")
    claw.set("a", name="n", channel_id="c")
    read(claw, owner=owner)
    before = everything()
    assert read(claw, owner=owner).written.messages == 0
    assert everything() == before


def test_a_dry_run_counts_and_writes_nothing(claw):
    claw.append("k", "user", "x")
    dry = read(claw, make=DryStore).written
    assert (dry.sessions, dry.messages, Session.objects.count()) == (1, 1, 0)


def test_two_daemons_are_two_sources(claw, tmp_path):
    make_user("owner")
    other = ZeroClaw(tmp_path / "nas" / "sessions.db")
    for one, words in ((claw, "here"), (other, "there")):
        one.append("telegram_ada", "user", words)
    run(claw.path)
    run(other.path, source="nas")
    other.close()
    assert set(Session.objects.values_list("source", "key", "title")) == {
        ("zeroclaw", "telegram_ada", "here"), ("nas", "telegram_ada", "there")
    }  # fmt: skip


def test_a_session_that_an_agent_keeps_here_is_left_alone(claw):
    owner = make_user("owner")
    make_session(owner, source="zeroclaw", key="k")
    claw.append("k", "user", "x")
    claw.append("other", "user", "x")
    assert "1 session that an agent keeps here itself left alone" in run(claw.path)
    assert Session.objects.get(key="k").message_count == 0
    assert json.loads(run(claw.path, json=True))["foreign_sessions"] == ["k"]


def test_a_folder_gives_each_kind_a_source_of_its_own(claw):
    make_user("owner")
    claw.append("k", "user", "x")
    (claw.path.parent / "k.jsonl").write_text('{"role": "user", "content": "y"}\n')
    (claw.path.parent / "old.jsonl.migrated").write_text('{"role": "user", "content": "z"}\n')
    told = json.loads(run(claw.path.parent, json=True))
    assert (told["files"], told["sessions"], told["messages"]) == (2, 2, 2)
    assert set(Session.objects.values_list("source", "title")) == {("zeroclaw", "x"), ("zeroclaw-jsonl", "y")}


def test_a_database_without_its_columns_ends_in_a_sentence(tmp_path):
    make_user("owner")
    claw = ZeroClaw(tmp_path / "sessions.db")
    claw.update("ALTER TABLE sessions DROP COLUMN role")
    claw.close()
    with pytest.raises(CommandError, match=r"not ZeroClaw's: its sessions have no role\."):
        run(claw.path)


def test_large_databases_are_read_in_pages(claw, django_assert_max_num_queries):
    claw.update("BEGIN")
    for number in range(1201):
        claw.append("k", "user", f"{number}")
    claw.update("COMMIT")
    with django_assert_max_num_queries(150):
        read(claw)
    assert [m.content for m in Message.objects.order_by("id")] == [str(number) for number in range(1201)]
