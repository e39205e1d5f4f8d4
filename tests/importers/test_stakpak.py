"""A real local.db: every version of its tables, states that are null, malformed or old, again and again."""

import hashlib
import json
import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from sessions import recounting
from sessions.importers import Opener, detect, discover
from sessions.importers.feeding import Feed
from sessions.importers.store import DryStore, Store
from sessions.models import Checkpoint, EventDraft, Session
from tests.api.stakpak.calling import call, result, says, storage_of, usage, user
from tests.commands.test_importsessions import run
from tests.factories import make_user
from tests.test_checkpoints import messages_of

pytestmark = pytest.mark.django_db

V2 = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, title TEXT NOT NULL, agent_id TEXT, visibility TEXT NOT NULL
 DEFAULT 'PRIVATE', status TEXT DEFAULT 'ACTIVE', cwd TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE checkpoints (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, status TEXT, execution_depth INTEGER,
 parent_id TEXT, state TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
"""
V1 = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, title TEXT NOT NULL, agent_id TEXT NOT NULL, visibility TEXT NOT NULL,
 created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE checkpoints (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, status TEXT NOT NULL, execution_depth INTEGER
 NOT NULL, parent_id TEXT, state TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
"""
MIGRATIONS = (
    "CREATE TABLE _migrations (version INTEGER PRIMARY KEY, description TEXT NOT NULL, applied_at TEXT NOT NULL);"
)
HISTORY = [
    user("make it fast"),
    says("looking", call("c1"), **usage(10, 5)),
    result("c1"),
    says("done", **usage(20, 7)),
]


class Local:
    """A local.db as the client writes it."""

    def __init__(self, path: Path, tables: str = V2) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.executescript(tables)
        self.clock = 0

    def now(self) -> str:
        self.clock += 1
        return f"2026-02-03T10:{self.clock // 60:02}:{self.clock % 60:02}.123456789+00:00"

    def insert(self, table: str, **row: Any) -> None:
        names = ", ".join(row)
        self.database.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()])

    def session(self, **row: Any) -> str:
        row = {"id": str(uuid.uuid4()), "title": "Faster", "created_at": self.now(), **row}
        self.insert("sessions", **{"updated_at": row["created_at"], **row})
        return row["id"]

    def checkpoint(self, session: str, state: Any, **row: Any) -> str:
        text = state if state is None or isinstance(state, str | bytes) else json.dumps(state)
        row = {"id": str(uuid.uuid4()), "created_at": self.now(), **row}
        self.insert("checkpoints", **{"session_id": session, "state": text, "updated_at": row["created_at"], **row})
        return row["id"]


@pytest.fixture
def local(tmp_path: Path) -> Local:
    return Local(tmp_path / ".stakpak" / "data" / "local.db")


class Import:
    def __init__(self, path: Path, *, owner: Any = None, make: type[Store] = Store) -> None:
        (transcript,) = discover(path)
        assert transcript.format.name == "Stakpak"
        self.owner = owner or make_user()
        self.feed = Feed.of(transcript, opener=Opener())
        self.store = make(owner=self.owner, source="stakpak")
        self.pull()

    def pull(self) -> "Import":
        self.store.write(self.feed.pull())
        self.store.flush()
        return self

    @property
    def written(self) -> Any:
        return self.store.written


def test_a_run_comes_with_its_ids_times_and_checkpoints(local):
    session = local.session(title="Make it fast", cwd="/srv/app", visibility="public")
    first = local.checkpoint(session, {"messages": HISTORY[:1]})
    second = local.checkpoint(session, {"messages": HISTORY, "metadata": {}}, parent_id=first)
    done = Import(local.path)

    row = Session.objects.get(uuid=session)
    assert (row.title, row.project_root, row.visibility, row.agent_name) == (
        "Make it fast",
        "/srv/app",
        "PUBLIC",
        "stakpak",
    )
    assert (row.is_imported, row.state, row.needs, row.liveness) == (True, "idle", "", "resting")
    assert (row.message_count, row.total_tokens, row.tool_success_count) == (4, 42, 1)
    assert row.created_at == datetime(2026, 2, 3, 10, 0, 1, 123456, UTC)
    assert row.last_activity_at == row.active_checkpoint.created_at == datetime(2026, 2, 3, 10, 0, 3, 123456, UTC)
    assert str(row.active_checkpoint.uuid) == second
    assert str(row.active_checkpoint.parent.uuid) == first
    assert messages_of(row.active_checkpoint) == HISTORY
    assert recounting.differences(row) == []
    assert (done.written.sessions, done.written.checkpoints, done.written.messages) == (1, 2, 4)


def test_what_was_imported_is_resumed_through_the_door_by_its_id(local):
    session = local.session()
    checkpoint = local.checkpoint(session, {"messages": HISTORY, "metadata": {"n": 1}})
    storage = storage_of(Import(local.path).owner)

    assert storage.get_session(session)["active_checkpoint"]["id"] == checkpoint
    assert storage.get_checkpoint(checkpoint)["state"]["metadata"] == {"n": 1}
    assert storage.list_sessions()[0]["message_count"] == 4


def test_a_second_import_changes_nothing_and_takes_what_is_new(local):
    session = local.session()
    local.checkpoint(session, {"messages": HISTORY[:2]})
    owner = Import(local.path).owner
    before = list(Session.objects.values_list("last_seq", "message_count", "prompt_tokens"))
    again = Import(local.path, owner=owner)
    assert (again.written.sessions, again.written.checkpoints) == (0, 0)
    assert list(Session.objects.values_list("last_seq", "message_count", "prompt_tokens")) == before

    local.checkpoint(session, {"messages": HISTORY})
    assert Import(local.path, owner=owner).written.checkpoints == 1
    assert Session.objects.get().message_count == 4


def test_following_takes_only_what_is_new(local):
    session = local.session()
    local.checkpoint(session, {"messages": HISTORY[:1]})
    following = Import(local.path)
    assert not following.feed.has_news()
    local.checkpoint(session, {"messages": HISTORY})
    local.database.execute("UPDATE sessions SET title = 'Renamed'")
    assert following.feed.has_news()
    following.pull()

    assert following.written.checkpoints == 2
    assert Session.objects.get().title == "Renamed"


@pytest.mark.parametrize("tables", [V1, V2, V1 + MIGRATIONS, V2 + MIGRATIONS], ids=["v1", "v2", "v1 noted", "v2 noted"])
def test_every_version_is_read_with_and_without_a_table_of_migrations(tmp_path, tables):
    local = Local(tmp_path / "local.db", tables)
    old = tables.startswith(V1)
    session = local.session(**({"agent_id": "pablo:v1", "visibility": "PRIVATE"} if old else {}))
    state = {"agent_id": "pablo:v1", "messages": HISTORY, "node_states": {"a": 1}}
    local.checkpoint(session, state, **({"status": "COMPLETE", "execution_depth": 1} if old else {}))
    Import(local.path)

    row = Session.objects.get(uuid=session)
    assert (row.message_count, row.status) == (4, "ACTIVE")
    assert json.loads(row.active_checkpoint.rest) == {"agent_id": "pablo:v1", "messages": [], "node_states": {"a": 1}}


UNREADABLE = [
    "",
    "{",
    "[]",
    "7",
    '"text"',
    '{"messages": 5}',
    '{"messages": ["words"]}',
    "NaN",
    "[" * 3000,
    b"\xff\x00",
]


@pytest.mark.parametrize("state", UNREADABLE)
def test_a_state_that_nobody_can_read_has_no_messages_and_is_kept_aside(local, state):
    session = local.session()
    local.checkpoint(session, state)
    newest = local.checkpoint(session, {"messages": HISTORY})
    Import(local.path)

    broken, whole = Checkpoint.objects.order_by("seq")
    assert (broken.message_count, messages_of(broken)) == (0, [])
    assert broken.unread or state == ""
    assert (str(whole.uuid), whole.message_count) == (newest, 4)


def test_a_null_state_and_a_session_without_checkpoints_have_no_messages_and_are_listed(local):
    local.checkpoint(local.session(title="null"), None)
    local.session(title="none")
    storage = storage_of(Import(local.path).owner)

    assert {one["title"]: one["message_count"] for one in storage.list_sessions()} == {"null": 0, "none": 0}
    again = Import(local.path, owner=Session.objects.first().owner)
    assert again.written.checkpoints == 0


def test_the_newest_by_time_is_the_active_one_whatever_its_row(local):
    session = local.session()
    newest = local.checkpoint(session, {"messages": HISTORY}, created_at="2026-02-03T12:00:00+00:00")
    local.checkpoint(session, {"messages": HISTORY[:1]}, created_at="2026-02-03T11:00:00.5+00:00")
    Import(local.path)

    assert str(Session.objects.get().active_checkpoint.uuid) == newest


def test_a_parent_that_is_not_there_is_none(local):
    session = local.session()
    local.checkpoint(session, {"messages": []}, parent_id=str(uuid.uuid4()))
    Import(local.path)

    assert Checkpoint.objects.get().parent is None


def test_lists_go_by_when_the_client_last_changed_a_session(local):
    older = local.session(title="used last")
    local.checkpoint(older, {"messages": HISTORY[:1]})
    local.checkpoint(local.session(title="younger"), {"messages": HISTORY[:1]})
    local.database.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (local.now(), older))
    importing = Import(local.path)
    storage = storage_of(importing.owner)
    assert [one["title"] for one in storage.list_sessions()] == ["used last", "younger"]
    assert Session.objects.get(uuid=older).updated_at == datetime(2026, 2, 3, 10, 0, 5, 123456, UTC)

    younger = Session.objects.get(title="younger")
    local.checkpoint(str(younger.uuid), {"messages": HISTORY})
    local.database.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (local.now(), str(younger.uuid)))
    importing.pull()

    assert [one["title"] for one in storage.list_sessions()] == ["younger", "used last"]
    assert Session.objects.get(pk=younger.pk).updated_at == datetime(2026, 2, 3, 10, 0, 7, 123456, UTC)


@pytest.mark.parametrize("change", ["rename", "step"])
def test_what_was_changed_here_since_stays_the_last_that_was_changed(local, change):
    session = local.session()
    local.checkpoint(session, {"messages": HISTORY[:1]})
    owner = Import(local.path).owner
    if change == "rename":
        Session.objects.get().edit(by="user:1", title="Mine")
    else:
        storage_of(owner).create_checkpoint(session, HISTORY)
    changed_at = Session.objects.get().updated_at

    Import(local.path, owner=owner)

    assert Session.objects.get().updated_at == changed_at


def test_a_session_that_was_seen_or_judged_here_is_dated_all_the_same(local):
    session = local.session()
    local.checkpoint(session, {"messages": HISTORY[:1]})
    owner = Import(local.path).owner
    row = Session.objects.get()
    with transaction.atomic():
        now = timezone.now()
        Session.objects.locked(row.pk).record([], now=now)  # as an older version left it
        Session.objects.locked(row.pk).record([EventDraft(type="server.session_seen")], now=now)

    Import(local.path, owner=owner)

    assert Session.objects.get().updated_at == row.updated_at


@pytest.mark.parametrize("told", [None, "yesterday"])
def test_without_a_time_that_can_be_read_a_session_is_of_its_import(local, told):
    session = local.session(updated_at=told or "")
    local.checkpoint(session, {"messages": HISTORY[:1]})
    before = timezone.now()
    Import(local.path)

    assert Session.objects.get().updated_at >= before


def test_a_deleted_session_comes_deleted_and_reads_by_its_id(local):
    session = local.session(status="DELETED")
    local.checkpoint(session, {"messages": HISTORY})
    owner = Import(local.path).owner
    Import(local.path, owner=owner)

    assert Session.objects.get().is_deleted
    assert storage_of(owner).get_session(session)["status"] == "DELETED"


def test_odd_words_are_read_as_the_client_reads_them(local):
    session = local.session(visibility="Public", status=None, title="")
    odd = local.session(id="no-uuid", visibility="nobody", status="GONE", created_at="yesterday")
    local.checkpoint(odd, {"messages": HISTORY[:1]}, id="nor-this", created_at="tomorrow")
    owner = Import(local.path).owner

    first, second = Session.objects.get(uuid=session), Session.objects.get(key="no-uuid")
    assert (first.visibility, first.status) == ("PUBLIC", "ACTIVE")
    assert (second.visibility, second.status, second.message_count) == ("PRIVATE", "ACTIVE", 1)
    assert Import(local.path, owner=owner).written.checkpoints == 0


def test_a_checkpoint_of_no_session_is_passed_over_and_counted(local):
    local.checkpoint("nobody", {"messages": HISTORY})
    done = Import(local.path)

    assert done.feed.tally.passed_over == {"checkpoint of no session": 1}


def test_a_rehearsal_writes_nothing_and_counts(local):
    local.checkpoint(local.session(), {"messages": HISTORY})
    done = Import(local.path, make=DryStore)

    assert (done.written.sessions, done.written.checkpoints, Session.objects.count()) == (1, 1, 0)


def test_the_file_stays_as_it_was_and_what_lies_beside_it_is_not_opened(local, monkeypatch):
    local.checkpoint(local.session(), {"messages": HISTORY})
    before = hashlib.sha256(local.path.read_bytes()).hexdigest()
    secrets = local.path.parent / "session" / "secrets.json"
    secrets.parent.mkdir()
    secrets.write_text('{"[REDACTED_SECRET:x:abcdef]": "the secret"}')
    opened: list[str] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: (opened.append(self.name), real(self, *a, **k))[1])
    Import(local.path.parent)

    assert hashlib.sha256(local.path.read_bytes()).hexdigest() == before
    assert "local.db" in opened
    assert "secrets.json" not in opened


def test_a_database_of_another_program_is_none_of_ours(tmp_path):
    other = Local(tmp_path / "other.db", "CREATE TABLE sessions (id TEXT, title TEXT, created_at TEXT)")

    assert detect(other.path) is None


def test_the_command_says_what_it_did(local):
    local.checkpoint(local.session(), {"messages": HISTORY})
    make_user("owner")

    assert "1 new session and 4 new messages" in run(str(local.path))
    told = json.loads(run(str(local.path), "--json"))
    assert (told["sessions"], told["checkpoints"], told["failures"]) == (0, 0, {})


def test_the_recorded_database_has_no_session_and_no_fault(shared_data):
    done = Import(shared_data / "stakpak" / "local.db")

    assert (done.written.sessions, done.written.checkpoints, done.feed.tally.lines) == (0, 0, 0)
