"""ZeroClaw's acp-sessions.db and its files of lines."""

import json
import os
from datetime import UTC, datetime

import pytest

from sessions.importers import Opener, discover
from sessions.importers.feeding import Feed
from sessions.importers.store import Store
from sessions.models import Session
from tests.commands.test_importsessions import run
from tests.factories import make_user
from tests.importers.imports import Import, everything
from tests.importers.test_zeroclaw import BORN
from tests.importers.zeroclaw_files import Acp, write_lines

pytestmark = pytest.mark.django_db
MORNING = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def acp(tmp_path):
    acp = Acp(tmp_path / "acp-sessions.db")
    yield acp
    acp.close()


def rows(key: str = "telegram_ada") -> list[tuple[str, str]]:
    return list(Session.objects.active().get(key=key).messages.order_by("id").values_list("role", "content"))


# --- acp-sessions.db ----------------------------------------------------------------------------------------


def test_a_coding_session_comes_with_its_thinking_calls_and_results(acp):
    plan = [
        {"content": "Count", "status": "completed"},
        {"content": "Tell", "status": "in_progress"},
        {"content": "Go"},
    ]
    acp.hold_turn(acp.start(plan_json=json.dumps(plan), token_count=1200, killed_at="2026-03-02T00:00:00Z"))
    acp.insert("acp_session_events", session_id=1, action="start", outcome="ok", payload='{"a": 1}', created_at="x")
    following = Import(acp.path, source="zeroclaw-acp").pull()
    session = Session.objects.get()
    assert (session.key, session.agent_name, session.project_root) == ("u-1", "lamplighter", "/home/ada/lamps")
    assert (session.created_at, session.last_activity_at, session.title) == (BORN, BORN, "Count the lamps")
    assert rows("u-1") == [("user", "Count the lamps"), ("assistant", ""), ("tool", "nine"), ("assistant", "Nine.")]
    call = session.tool_calls.get()
    assert (call.name, call.outcome, call.result_message.content) == ("shell", "success", "nine")
    assert session.messages.filter(thinking="Let me see.").count() == 1
    assert dict(session.metadata.values_list("key", "value")) == {
        "todo": "- [x] Count\n- [~] Tell\n- [ ] Go", "token_count": "1200", "killed_at": "2026-03-02T00:00:00Z"
    }  # fmt: skip
    assert session.events.get(type="zeroclaw.start").payload == {"outcome": "ok", "event": {"a": 1}}
    assert following.feed.tally.lines == 3


@pytest.mark.parametrize("is_followed", [True, False])
def test_a_coding_session_goes_on_and_nothing_comes_twice(acp, is_followed):
    owner = make_user()
    session = acp.start()
    acp.start("never used")
    acp.hold_turn(session)
    first = Import(acp.path, owner=owner, source="zeroclaw-acp").pull()
    before = everything()
    Import(acp.path, owner=owner, source="zeroclaw-acp").pull()
    assert everything() == before
    acp.hold_turn(session, call_id="c2")
    (first if is_followed else Import(acp.path, owner=owner, source="zeroclaw-acp")).pull()
    found = Session.objects.get()
    assert (found.message_count, found.tool_call_count, found.tool_success_count) == (8, 2, 2)


def test_a_coding_session_seen_to_be_deleted_is_deleted_here(acp):
    acp.hold_turn(acp.start())
    following = Import(acp.path, source="zeroclaw-acp").pull()
    acp.connection.execute("DELETE FROM acp_sessions")
    following.pull()
    assert Session.objects.get().is_deleted


# --- *.jsonl ------------------------------------------------------------------------------------------------


class Lines:
    """One file of lines, imported whole each time, or followed."""

    def __init__(self, path, *, is_followed: bool) -> None:
        self.path, self.is_followed = path, is_followed
        self.store = Store(owner=make_user(), source="zeroclaw-jsonl")
        self.feed = None

    def write(self, *contents: str, beside: bytes = b"") -> None:
        write_lines(self.path, *(("user", content) for content in contents), beside=beside)

    def pull(self) -> None:
        if self.feed is None or not self.is_followed:
            (transcript,) = discover(self.path)
            self.feed = Feed.of(transcript, opener=Opener())
        self.store.write(self.feed.pull())
        self.store.write(self.feed.settle() if self.is_followed else self.feed.end())
        self.store.flush()


@pytest.fixture(params=["followed", "imported again"])
def lines(request, tmp_path):
    return Lines(tmp_path / "sessions" / "telegram_ada.jsonl", is_followed=request.param == "followed")


def test_a_file_is_a_session_of_the_time_at_which_it_was_written(tmp_path):
    make_user("owner")
    call = json.dumps({"content": "", "tool_calls": [{"id": "c1", "name": "shell", "arguments": "{}"}]})
    path = write_lines(tmp_path / "telegram_ada.jsonl", ("user", "Count"), ("assistant", call))
    os.utime(path, (MORNING.timestamp(), MORNING.timestamp()))
    run(path)
    session = Session.objects.get()
    assert (session.source, session.key, session.title) == ("zeroclaw-jsonl", "telegram_ada", "Count")
    assert (session.created_at, session.last_activity_at) == (MORNING, MORNING)
    assert (session.message_count, session.tool_call_count) == (2, 1)


def test_lines_that_are_none_are_passed_over_and_counted(lines):
    junk = b'\n   \n{"role": "user"}\n{broken\n\xff\xfe\n{"role": "assistant", "content": "Yes", "more": 1}\n'
    lines.write("Count", beside=junk)
    lines.pull()
    assert rows() == [("user", "Count"), ("assistant", "Yes")]
    assert lines.feed.tally.bad_lines == [5, 6]
    assert lines.feed.tally.passed_over == {"line without role and content": 1}


def test_a_name_that_was_percent_encoded_is_decoded(tmp_path):
    make_user("owner")
    run(write_lines(tmp_path / "slack%2Fada%40x.jsonl", ("user", "Count")))
    assert Session.objects.get().key == "slack/ada@x"


def test_a_file_that_grows_shrinks_and_is_written_anew_is_followed(lines):
    lines.write("a", "a", "b")
    lines.pull()
    lines.pull()
    assert rows() == [("user", "a"), ("user", "a"), ("user", "b")]
    lines.write("a", "a")
    lines.pull()
    assert rows() == [("user", "a"), ("user", "a")]
    lines.write("a", "a", "c", "b")
    lines.pull()
    assert rows() == [("user", "a"), ("user", "a"), ("user", "c"), ("user", "b")]
    lines.path.unlink()
    lines.write("a")
    lines.pull()
    assert rows() == [("user", "a")]
    assert Session.objects.get().message_count == 1


def test_files_of_others_are_not_taken_for_these(tmp_path):
    make_user("owner")
    for name, line in {
        "a.jsonl": '{"role": "user", "content": [1]}', "b.jsonl": '{"role": "user", "content": "x", "id": 1}',
        "c.txt": '{"role": "user", "content": "x"}', "d.jsonl": "", "e.jsonl": "{}",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(f"{line}\n")
    write_lines(tmp_path / "f.jsonl", ("user", "x"))
    assert json.loads(run(tmp_path, json=True))["files"] == 1
