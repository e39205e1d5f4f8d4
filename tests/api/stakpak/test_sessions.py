"""list, create, get, update and delete, read as the Rust client reads them (contracts/stakpak.md 1, 2.4)."""

import uuid
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import liveness, protocol, recounting
from sessions.models import Session
from tests.api.calling import agent_of
from tests.api.stakpak.calling import says, storage_of, user
from tests.api.stakpak.rust import CREATED, StorageError
from tests.factories import make_session, make_user
from tests.purging import purge

pytestmark = pytest.mark.django_db


def kind_of(run) -> str:
    with pytest.raises(StorageError) as caught:
        run()
    return caught.value.kind


def test_a_session_begins_with_its_first_checkpoint(storage):
    made = storage.create_session("Fix it", [user("hello")], cwd="/srv/app")

    assert storage.status == 201
    checkpoint = made["checkpoint"]
    assert checkpoint["session_id"] == made["session_id"]
    assert checkpoint["parent_id"] is None
    assert [one["content"] for one in checkpoint["state"]["messages"]] == ["hello"]
    session = storage.get_session(made["session_id"])
    assert (session["title"], session["cwd"], session["visibility"], session["status"]) == (
        "Fix it", "/srv/app", "PRIVATE", "ACTIVE",
    )  # fmt: skip
    assert session["active_checkpoint"] == checkpoint
    assert session["created_at"] == session["updated_at"] == checkpoint["created_at"] == checkpoint["updated_at"]


def test_all_that_is_optional_may_be_absent(storage):
    made = storage.send("POST", "/sessions", {"title": ""}, read=CREATED)

    session = storage.get_session(made["session_id"])
    assert (session["title"], session["cwd"], session["visibility"]) == ("", None, "PRIVATE")
    assert session["active_checkpoint"]["state"]["messages"] == []


def test_the_name_of_the_trait_is_not_that_of_the_wire(storage):
    made = storage.create_session(initial_state={"messages": [user("passed over")]})

    assert made["checkpoint"]["state"]["messages"] == []


def test_a_title_of_one_endless_word_is_cut_and_not_refused(storage):
    made = storage.create_session("é" * 5000)

    assert storage.get_session(made["session_id"])["title"] == "é" * 1000


def test_the_list_says_what_the_newest_checkpoint_holds(storage):
    made = storage.create_session("One", [user("a")])
    newest = storage.create_checkpoint(made["session_id"], [user("a"), says("b"), user("c")])

    (summary,) = storage.list_sessions()
    assert (summary["message_count"], summary["active_checkpoint_id"]) == (3, newest["id"])
    assert summary["title"] == "One"


def test_the_last_changed_comes_first_and_pages_go_by_offset(storage):
    made = [storage.create_session(f"s{number}")["session_id"] for number in range(3)]
    storage.update_session(made[0], title="renamed")

    assert [one["id"] for one in storage.list_sessions()] == [made[0], made[2], made[1]]
    assert [one["id"] for one in storage.list_sessions(limit=1, offset=1)] == [made[2]]
    assert storage.list_sessions(limit=0) == []
    assert len(storage.list_sessions(limit=1_000_000)) == 3
    assert storage.list_sessions(offset=4_000_000_000) == []


def test_what_the_server_concludes_does_not_bring_a_session_to_the_top(storage):
    with time_machine.travel("2026-05-01T10:00:00Z", tick=False):
        old = storage.create_session("old", [user("a")])["session_id"]
    with time_machine.travel("2026-05-01T10:01:00Z", tick=False):
        new = storage.create_session("new", [user("b"), says("done")])["session_id"]
    with time_machine.travel("2026-05-01T11:00:00Z", tick=False):
        liveness.watch()

    assert Session.objects.get(uuid=old).liveness == "stuck"
    assert [one["id"] for one in storage.list_sessions()] == [new, old]


def test_deleted_sessions_are_listed_only_when_asked_for(storage):
    kept, gone = (storage.create_session(title)["session_id"] for title in ("kept", "gone"))
    storage.delete_session(gone)

    assert [one["id"] for one in storage.list_sessions()] == [kept]
    assert [one["id"] for one in storage.list_sessions(status="ACTIVE")] == [kept]
    assert [one["id"] for one in storage.list_sessions(status="DELETED")] == [gone]
    assert {one["id"] for one in storage.list_sessions(status="ALL")} == {kept, gone}


def test_visibility_filters(storage):
    private = storage.create_session()["session_id"]
    public = storage.create_session(visibility="PUBLIC")["session_id"]

    assert [one["id"] for one in storage.list_sessions(visibility="PRIVATE")] == [private]
    assert [one["id"] for one in storage.list_sessions(visibility="PUBLIC")] == [public]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("rust", ["Rust project"]),
        ("RUST PRO", ["Rust project"]),
        ("%", ["100% done"]),
        ("_", ["snake_case"]),
        ("\\", ["back\\slash"]),
        ("é", ["Café"]),
        ("É", []),
        ("nothing", []),
        ("\0", []),
        ("rust\0", []),
        ("", ["100% done", "Café", "Rust project", "back\\slash", "snake_case"]),
    ],
)
def test_search_looks_at_titles_with_plain_characters(storage, term, found):
    for title in ("Rust project", "100% done", "snake_case", "back\\slash", "Café"):
        storage.create_session(title)

    assert sorted(one["title"] for one in storage.list_sessions(search=term)) == found


def test_a_title_that_nobody_gave_is_empty_and_not_found(storage):
    session = storage.create_session("")["session_id"]
    storage.update_session(session, title="")
    storage.create_checkpoint(session, [user("prompt words")])

    assert Session.objects.get(uuid=session).title == "prompt words"
    assert storage.get_session(session)["title"] == ""
    assert storage.list_sessions(search="prompt") == []


def test_only_the_users_own_sessions_with_a_checkpoint_are_listed(storage, owner):
    make_session(owner)
    storage_of(make_user()).create_session("theirs", visibility="PUBLIC")
    mine = storage.create_session("mine")["session_id"]

    assert [one["id"] for one in storage.list_sessions()] == [mine]


def test_a_session_without_a_checkpoint_is_not_found_here(storage, owner):
    session = make_session(owner)

    assert kind_of(lambda: storage.get_session(session.uuid)) == "NotFound"
    assert kind_of(lambda: storage.create_checkpoint(session.uuid, [])) == "NotFound"
    assert kind_of(lambda: storage.list_checkpoints(session.uuid)) == "NotFound"


def test_a_purge_of_archived_messages_and_old_events_and_a_recount_move_no_session_in_the_list(storage):
    old, new = (storage.create_session(title, [user("a"), says("b")])["session_id"] for title in ("old", "new"))
    storage.create_checkpoint(old, [user("x")])
    protocol.heartbeat(Session.objects.get(uuid=old).pk, activity="reading")
    storage.update_session(new, visibility="PUBLIC")
    before = storage.list_sessions()
    revision = Session.objects.get(uuid=old).revision

    later = timezone.now() + timedelta(days=9)
    assert purge("compacted", 1, now=later).counts["messages"] == 2
    assert purge("events", 1, now=later).counts["events"] == 1
    Session.objects.filter(uuid=old).update(turn_count=7)
    assert recounting.correct(Session.objects.get(uuid=old).pk, by="test", now=later)

    assert [one["title"] for one in before] == ["new", "old"]
    assert storage.list_sessions() == before
    assert Session.objects.get(uuid=old).revision >= revision + 3, "open pages are told"


def test_an_update_changes_what_it_says_and_the_time(storage):
    session = storage.create_session("old", [user("a")])
    before = storage.get_session(session["session_id"])
    after = storage.update_session(session["session_id"], title="new", visibility="PUBLIC")

    assert (after["title"], after["visibility"]) == ("new", "PUBLIC")
    assert after["updated_at"] > before["updated_at"]
    assert after["active_checkpoint"] == before["active_checkpoint"]


@pytest.mark.parametrize("changes", [{}, {"title": None}, {"title": None, "visibility": None}, {"cwd": "/elsewhere"}])
def test_an_empty_update_changes_nothing_not_even_the_time(storage, changes):
    session = storage.create_session("old")["session_id"]
    before = storage.get_session(session)

    assert storage.update_session(session, **changes) == before
    assert Session.objects.get(uuid=session).last_seq == 2


def test_a_deleted_session_reads_and_goes_on_and_can_be_renamed(storage):
    session = storage.create_session("gone", [user("a")])["session_id"]
    storage.delete_session(session)
    deleted = storage.get_session(session)
    newer = storage.create_checkpoint(session, [user("a"), says("b")])
    renamed = storage.update_session(session, title="still gone")

    assert deleted["status"] == renamed["status"] == "DELETED"
    assert isinstance(deleted["deleted_at"], datetime)
    assert renamed["active_checkpoint"]["id"] == newer["id"]
    assert renamed["updated_at"] > deleted["updated_at"]
    storage.delete_session(session)  # again is no error
    assert storage.get_session(session)["deleted_at"] == deleted["deleted_at"]


def test_an_unknown_session_is_not_found_whatever_is_asked(storage):
    for session in (uuid.uuid4(), "00000000-0000-0000-0000-000000000000", "no-uuid", "400-401-429"):
        for run in (
            lambda session=session: storage.get_session(session),
            lambda session=session: storage.update_session(session, title="x"),
            lambda session=session: storage.delete_session(session),
            lambda session=session: storage.list_checkpoints(session),
            lambda session=session: storage.create_checkpoint(session, []),
            lambda session=session: storage.get_checkpoint(session),
        ):
            assert kind_of(run) == "NotFound"
            assert storage.status == 404


def test_what_others_keep_private_does_not_exist(storage):
    theirs = storage_of(make_user()).create_session("theirs", [user("a")])

    assert kind_of(lambda: storage.get_session(theirs["session_id"])) == "NotFound"
    assert kind_of(lambda: storage.get_checkpoint(theirs["checkpoint"]["id"])) == "NotFound"
    assert kind_of(lambda: storage.update_session(theirs["session_id"], title="x")) == "NotFound"


def test_what_others_made_public_reads_and_cannot_be_changed(storage):
    theirs = storage_of(make_user()).create_session("theirs", [user("a")], visibility="PUBLIC")

    assert storage.get_session(theirs["session_id"])["title"] == "theirs"
    assert storage.get_checkpoint(theirs["checkpoint"]["id"]) == theirs["checkpoint"]
    for run in (
        lambda: storage.update_session(theirs["session_id"], title="mine"),
        lambda: storage.delete_session(theirs["session_id"]),
        lambda: storage.create_checkpoint(theirs["session_id"], []),
    ):
        with pytest.raises(StorageError) as caught:
            run()
        assert (caught.value.kind, caught.value.message, storage.status) == (
            "Unauthorized", "unauthorized: read only", 403,
        )  # fmt: skip


def test_a_key_does_what_its_scopes_allow(owner):
    writer, reader = storage_of(owner, "write"), storage_of(owner, "read")
    made = writer.create_session("mine")["session_id"]

    assert kind_of(lambda: writer.get_session(made)) == "Unauthorized"
    assert kind_of(writer.list_sessions) == "Unauthorized"
    assert kind_of(reader.create_session) == "Unauthorized"
    assert kind_of(lambda: reader.create_checkpoint(made, [])) == "Unauthorized"
    assert kind_of(lambda: reader.delete_session(made)) == "Unauthorized"
    assert reader.get_session(made)["title"] == "mine"


def test_the_same_session_is_there_through_the_native_door(storage, owner):
    made = storage.create_session("Fix it", [user("hello")], cwd="/srv/app")
    seen = agent_of(owner).get(f"sessions/{made['session_id']}")

    assert (seen["title"], seen["project_root"], seen["agent_name"]) == ("Fix it", "/srv/app", "stakpak")
    assert seen["active_checkpoint_id"] == made["checkpoint"]["id"]


def test_a_page_of_the_list_costs_the_same_however_many_there_are(storage, django_assert_max_num_queries):
    for number in range(12):
        storage.create_session(f"s{number}", [user("a")])

    with django_assert_max_num_queries(3):  # the key, its use, the page
        assert len(storage.list_sessions()) == 12


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a table of so few rows whole")
def test_a_page_of_the_list_is_read_from_its_index(storage, owner):
    storage.create_session("one")
    with CaptureQueriesContext(connection) as captured:
        storage.list_sessions()
    (sql,) = [query["sql"] for query in captured if "checkpoint_messages" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = [row[3] for row in cursor.fetchall()]

    assert any("USING INDEX session_listed" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
