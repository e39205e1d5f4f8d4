"""A sessions.db that has changed since it was imported, followed and not; and the turns that happen meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions import compaction, retention
from sessions.models import Alarm, Session, Turn
from sessions.retention import Policy, Rule
from tests.factories import make_user
from tests.importers.imports import Import, everything
from tests.importers.test_zeroclaw import TEN, contents
from tests.importers.zeroclaw_files import ZeroClaw

pytestmark = pytest.mark.django_db
ELEVEN = "2026-03-01T11:00:00+00:00"


@pytest.fixture(params=["followed", "imported again"])
def importing(request, claw):
    """What takes in the changes: the same import going on, or a new one."""
    owner = make_user()
    going_on = Import(claw.path, owner=owner, source="zeroclaw")

    def pull() -> Import:
        one = going_on if request.param == "followed" else Import(claw.path, owner=owner, source="zeroclaw")
        return one.pull()

    pull.is_followed = request.param == "followed"
    return pull


def test_a_message_that_was_taken_back_goes_and_its_number_is_no_hindrance(claw, importing):
    claw.append("k", "user", "one")
    claw.append("k", "user", "bad picture")
    importing()
    claw.remove_last("k")
    importing()
    assert contents() == [("user", "one")]
    claw.append("k", "user", "two")
    claw.remove_last("k")
    claw.append("k", "assistant", "three")
    importing()
    assert contents() == [("user", "one"), ("assistant", "three")]
    assert Session.objects.get().message_count == 2


def test_a_title_that_went_with_its_prompt_is_the_next_one(claw, importing):
    claw.append("k", "user", "secret")
    importing()
    claw.remove_last("k")
    claw.append("k", "user", "harmless")
    importing()
    assert Session.objects.get().title == "harmless"


def test_an_answer_that_grows_is_what_it_is_at_last(claw, importing):
    claw.append("k", "user", "Count")
    claw.append("k", "assistant", "Ni")
    importing()
    claw.update_last("k", "assistant", "Nine", at=TEN)
    assert importing().written.changed_messages == 1
    claw.update_last("k", "assistant", "Nine lamps.", at=ELEVEN)
    claw.append("k", "user", "Thanks", at=ELEVEN)
    importing()
    assert contents() == [("user", "Count"), ("assistant", "Nine lamps."), ("user", "Thanks")]


def test_an_answer_that_is_too_large_stays_as_it_was_cut(claw, importing, settings):
    settings.KODA_MAX_CONTENT = 100
    claw.append("k", "user", "x" * 200)
    claw.set("k", room_id="y" * 200)
    importing()
    before = everything()
    importing()
    assert everything() == before
    assert Session.objects.get().messages.get().content.endswith("200 bytes are too many.]")


def test_what_was_cleared_goes_and_the_session_stays(claw, importing):
    claw.append("k", "user", "one")
    claw.append("other", "user", "x")
    importing()
    claw.clear("k", at=TEN)
    importing()
    assert contents() == []
    assert contents("other") == [("user", "x")]
    claw.append("k", "user", "two", at=ELEVEN)
    importing()
    assert contents() == [("user", "two")]


def test_a_key_that_is_used_again_is_another_session(claw, importing):
    claw.append("telegram_ada", "user", "old")
    importing()
    claw.delete("telegram_ada")
    claw.append("telegram_ada", "user", "new", at=TEN)
    importing()
    importing()
    old, new = Session.objects.order_by("id")
    assert (old.is_deleted, new.is_deleted) == (True, False)
    assert contents("telegram_ada") == [("user", "new")]
    assert old.messages.get().content == "old", "what was said before can still be read by its link"


def test_a_session_that_was_deleted_there_is_deleted_here_if_we_saw_it_go(claw, importing):
    claw.append("k", "user", "x")
    claw.append("other", "user", "x")
    importing()
    claw.delete("k")
    importing()
    assert Session.objects.get(key="k").is_deleted is importing.is_followed


def test_one_that_a_person_deleted_here_stays_so_until_it_begins_anew(claw, importing):
    claw.append("k", "user", "x")
    importing()
    Session.objects.get().remove(by="user:1")
    claw.append("k", "user", "y")
    importing()
    assert not Session.objects.active().exists()
    claw.delete("k")
    claw.append("k", "user", "new", at=TEN)
    importing()
    if not importing.is_followed:
        assert contents() == [("user", "new")]


def test_names_and_places_follow(claw, importing):
    claw.append("k", "user", "x")
    importing()
    claw.set("k", name="Lamps", room_id="C1")
    importing()
    claw.set("k", room_id="C2")
    importing()
    session = Session.objects.get()
    assert (session.given_name, session.metadata.get().value) == ("Lamps", "C2")
    session.edit(by="user:1", title="mine")
    claw.set("k", name="theirs")
    importing()
    assert Session.objects.get().title == "mine"


@pytest.mark.parametrize("name", ["Lamps", "Count the lamps"])
def test_a_name_that_was_taken_back_leaves_the_first_prompt_which_is_no_name(claw, importing, name):
    claw.append("k", "user", "[2026-03-01 09:00:00 CET] Count the lamps")
    claw.set("k", name=name)
    importing()
    assert Session.objects.get().given_name == name

    claw.set("k", name=None)
    importing()

    session = Session.objects.get()
    assert (session.title, session.is_title_derived, session.given_name) == ("Count the lamps", True, None)
    written = session.last_seq
    importing()
    assert Session.objects.get().last_seq == written
    claw.set("k", name="Nine")
    importing()
    assert Session.objects.get().given_name == "Nine"


def test_a_name_that_a_person_gave_here_stays_though_theirs_was_taken_back(claw, importing):
    claw.append("k", "user", "x")
    claw.set("k", name="Lamps")
    importing()
    Session.objects.get().edit(by="user:1", title="mine")
    claw.set("k", name=None)
    importing()
    assert Session.objects.get().given_name == "mine"


def test_a_name_that_was_taken_back_does_not_bring_back_a_purged_prompt(claw, importing):
    claw.append("k", "user", "secret")
    claw.append("k", "user", "harmless")
    claw.set("k", name="Lamps")
    importing()
    session = Session.objects.get()
    compaction.compact(session.pk, summary="s", preserve_count=1, by="test")
    retention.purge(Rule(policy=Policy.COMPACTED, age=0), by="policy")
    claw.set("k", name=None)
    importing()
    assert Session.objects.get().title == "harmless"
    assert Session.objects.get().given_name is None


def test_nothing_new_writes_nothing(claw, importing):
    claw.append("k", "user", "x")
    importing()
    before = everything()
    importing()
    assert everything() == before


def test_an_older_copy_takes_nothing_away(claw, tmp_path):
    owner = make_user()
    claw.append("k", "user", "one")
    copy = tmp_path / "copy.db"
    claw.update("VACUUM INTO ?", str(copy))
    claw.append("k", "user", "two")
    for path in (claw.path, copy):
        Import(path, owner=owner, source="zeroclaw").pull()
    assert contents() == [("user", "one"), ("user", "two")]


def test_a_database_in_the_place_of_another_is_read_from_its_start(claw, tmp_path):
    claw.append("k", "user", "old")
    following = Import(claw.path, source="zeroclaw").pull()
    assert not following.feed.has_news()
    other = ZeroClaw(tmp_path / "other.db")
    other.append("k", "user", "new", at=TEN)
    other.close()
    claw.close()
    for suffix in ("-wal", "-shm"):
        claw.path.with_name(f"{claw.path.name}{suffix}").unlink(missing_ok=True)
    other.path.replace(claw.path)
    assert following.feed.has_news()
    following.pull()
    assert contents() == [("user", "new")]


def now(**earlier) -> str:
    return (datetime.now(UTC) - timedelta(**earlier)).isoformat()


@pytest.mark.parametrize(("state", "reason", "after"), [("idle", "complete", "idle"), ("error", "error", "error")])
def test_turns_that_happen_while_we_follow_are_told_and_raise_no_alarm(claw, state, reason, after):
    claw.append("gw_1", "user", "one")
    following = Import(claw.path, source="zeroclaw").pull()
    claw.append("gw_1", "user", "Count", at=now())
    claw.set("gw_1", state="running", turn_id="t1", turn_started_at=now())
    following.pull()
    session = Session.objects.get()
    assert (session.state, session.turn_id, session.liveness) == ("running", "t1", "unknown")
    assert session.next_deadline_at is None
    claw.append("gw_1", "assistant", "Nine.", at=now())
    claw.set("gw_1", state=state, turn_id=None if state == "idle" else "t1", turn_started_at=None)
    following.pull()
    session.refresh_from_db()
    assert (session.state, session.turns.get().reason) == (after, reason)
    assert session.messages.filter(turn_id="t1").count() == 2
    assert not Alarm.objects.exists()


def test_a_turn_that_a_crash_left_behind_runs_nothing(claw):
    claw.append("k", "user", "x")
    claw.set("k", state="running", turn_id="t1", turn_started_at=now(hours=2))
    following = Import(claw.path, source="zeroclaw").pull()
    claw.append("other", "user", "x")
    following.pull()
    assert not Turn.objects.exists()
    claw.set("k", turn_id="t2", turn_started_at=now())
    following.pull()
    assert Session.objects.get(key="k").turn_id == "t2"


def test_a_turn_that_ended_while_nobody_followed_is_closed_by_the_next_import(claw):
    owner = make_user()
    claw.append("k", "user", "x")
    following = Import(claw.path, owner=owner, source="zeroclaw").pull()
    claw.set("k", state="running", turn_id="t1", turn_started_at=now())
    following.pull()
    assert Session.objects.get().state == "running"
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    assert Session.objects.get().state == "running"
    claw.set("k", state="idle", turn_id=None, turn_started_at=None)
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    assert (Session.objects.get().state, Turn.objects.get().reason) == ("idle", "complete")
