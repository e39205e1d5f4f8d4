"""What was purged here and is still in its own store: no later import brings it back, however it was purged."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions import compaction, recounting, retention, revisions
from sessions.importers.store import DryStore
from sessions.models import Message, PurgedMessages, PurgedSession, Session
from sessions.retention import Policy, Rule
from tests.commands.test_importsessions import run
from tests.factories import make_message, make_session, make_user
from tests.importers.imports import Import
from tests.importers.lines import call, encode, make_answer, make_line, make_prompt, make_result, text
from tests.importers.test_stakpak import HISTORY as STEPS
from tests.importers.test_stakpak import Import as StakpakImport
from tests.importers.test_stakpak import Local
from tests.importers.test_store import import_bytes, make_store
from tests.importers.zeroclaw_files import Acp, ZeroClaw, write_lines

pytestmark = pytest.mark.django_db
TEN = "2026-03-01T10:00:00+00:00"


def purge(policy: Policy) -> dict[str, int]:
    return retention.purge(Rule(policy=policy, age=0, is_forced=policy is Policy.STALE), by="policy").counts


def archive_all() -> None:
    """Archive and purge what is there; the summary stays."""
    compaction.compact(Session.objects.get().pk, summary="In short", preserve_count=0, by="test")
    purge(Policy.COMPACTED)


def imported() -> list[str | None]:
    """Return what messages say that an import made."""
    return list(Message.objects.exclude(client_id=None).order_by("id").values_list("content", flat=True))


def figures() -> dict[str, int]:
    session = Session.objects.get()
    assert recounting.differences(session) == []
    return {name: getattr(session, name) for name in ("total_tokens", "api_call_count", "tool_call_count")}


# --- Messages ----------------------------------------------------------------------------------------------


def compacted() -> list[dict[str, Any]]:
    """Return the lines of a conversation that was compacted in its middle; its answers have two parts."""
    return [
        make_prompt("Count the lamps"),
        make_answer("m1", text("I look."), output=2),
        make_answer("m1", call("c1"), output=9),
        make_result("c1"),
        make_line("system", subtype="compact_boundary", content="Compacted", compactMetadata={"trigger": "manual"}),
        make_prompt("So far: lamps.", isCompactSummary=True),
        make_answer("m2", text("Nine lamps.")),
    ]


def test_a_transcript_does_not_bring_back_what_was_purged_nor_counts_it_again():
    owner, lines = make_user(), compacted()
    import_bytes(make_store(owner=owner), encode(*lines))
    before = figures()
    assert purge(Policy.COMPACTED)["messages"] == 3

    again = make_store(owner=owner)
    import_bytes(again, encode(*lines, make_prompt("Thanks")))

    assert imported() == ["So far: lamps.", "Nine lamps.", "Thanks"]
    assert figures() == before
    assert (again.written.messages, again.written.known_messages) == (1, 5)


def test_the_rest_of_an_answer_comes_though_its_beginning_was_purged():
    owner, lines = make_user(), compacted()
    import_bytes(make_store(owner=owner), encode(*lines[:2]))
    archive_all()

    import_bytes(make_store(owner=owner), encode(*lines[:3], make_answer("m1", call("c2"), output=12)))

    rest = Message.objects.exclude(client_id=None).get()
    assert (rest.content, [one["id"] for one in rest.calls()]) == (None, ["c1", "c2"])
    assert figures() == {"total_tokens": 10 + 12, "api_call_count": 2, "tool_call_count": 2}


def test_rows_stay_purged_though_none_is_left(claw):
    owner = make_user()
    claw.append("k", "user", "one")
    claw.append("k", "assistant", "two")
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    archive_all()
    claw.append("k", "user", "three")

    Import(claw.path, owner=owner, source="zeroclaw").pull()

    assert imported() == ["three"]


def test_results_that_are_numbered_apart_stay_purged(tmp_path):
    acp, owner = Acp(tmp_path / "acp-sessions.db"), make_user()
    session = acp.start()
    acp.hold_turn(session)
    Import(acp.path, owner=owner, source="zeroclaw-acp").pull()
    before = figures()
    archive_all()
    Import(acp.path, owner=owner, source="zeroclaw-acp").pull()
    assert imported() == []
    assert figures() == before

    acp.hold_turn(session, call_id="c2", at=TEN)
    Import(acp.path, owner=owner, source="zeroclaw-acp").pull()

    assert imported() == ["Count the lamps", "", "nine", "Nine."]
    acp.close()


def test_lines_stay_purged_until_their_file_lacked_them(tmp_path):
    owner, path = make_user(), tmp_path / "k.jsonl"

    def write(*contents: str) -> list[str | None]:
        write_lines(path, *(("user", content) for content in contents))
        following = Import(path, owner=owner, source="zeroclaw-jsonl").pull()
        following.store.write(following.feed.end())
        following.store.flush()
        return imported()

    assert write("one", "two") == ["one", "two"]
    archive_all()
    assert write("one", "two", "three") == ["three"]
    assert write("two", "three") == ["three"]
    assert write("two", "three", "one") == ["three", "one"]


def test_a_file_of_lines_that_is_followed_takes_what_was_taken_back_and_said_again(tmp_path):
    path = write_lines(tmp_path / "k.jsonl", ("user", "one"), ("user", "two"))
    following = Import(path, source="zeroclaw-jsonl").pull()
    following.store.write(following.feed.settle())
    archive_all()
    for contents in (["one"], ["one", "two"]):
        write_lines(path.with_suffix(".new"), *(("user", content) for content in contents)).replace(path)
        following.pull()
        following.store.write(following.feed.settle())

    assert imported() == ["two"]


@pytest.mark.parametrize("take", [revisions.remove_last, revisions.clear])
def test_what_an_agent_takes_back_here_does_not_come_again(claw, take):
    owner = make_user()
    claw.append("k", "user", "one")
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    take(Session.objects.get().pk, by="agent")

    Import(claw.path, owner=owner, source="zeroclaw").pull()

    assert imported() == []


def test_what_went_there_does_not_come_again_with_an_older_copy(claw, tmp_path):
    owner, older = make_user(), ZeroClaw(tmp_path / "older" / "sessions.db")
    for one in (claw, older):
        one.append("k", "user", "one")
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    claw.clear("k", at=TEN)
    Import(claw.path, owner=owner, source="zeroclaw").pull()

    Import(older.path, owner=owner, source="zeroclaw").pull()

    assert imported() == []
    older.close()


def test_of_what_was_purged_no_word_and_no_id_is_remembered_and_no_receipt_counts_it(claw):
    claw.append("k", "user", "one")
    Import(claw.path, source="zeroclaw").pull()
    agents_own = make_session()
    make_message(agents_own, client_id="mine")
    for pk in (Session.objects.get(key="k").pk, agents_own.pk):
        compaction.compact(pk, summary="In short", preserve_count=0, by="test")
    purge(Policy.COMPACTED)

    noted = PurgedMessages.objects.get()
    assert noted.session.key == "k", "nobody reads again what an agent wrote here itself"
    assert len(bytes(noted.digests)) == 16
    assert "zeroclaw:1" in PurgedMessages.objects.ids_of(noted.session)
    assert "zeroclaw:2" not in PurgedMessages.objects.ids_of(noted.session)
    assert "purged_messages" not in purge(Policy.STALE)
    assert not PurgedMessages.objects.exists()


# --- Titles ------------------------------------------------------------------------------------------------


def title() -> tuple[str | None, bool]:
    session = Session.objects.get()
    return session.title, session.is_title_derived


@pytest.mark.parametrize("prompt", ["Count the lamps", "<command-name>/count</command-name>"])
def test_a_title_that_a_transcript_has_from_its_first_words_goes_with_them(prompt):
    owner, lines = make_user(), encode(make_prompt(prompt), make_answer("m1", text("Nine.")))
    import_bytes(make_store(owner=owner), lines)
    assert title() == (prompt.partition(">")[2].partition("<")[0] or prompt, True)
    archive_all()
    assert title() == (None, False)

    import_bytes(make_store(owner=owner), lines + encode(make_prompt("Thanks")))

    assert title() == ("Thanks", True)


def test_words_make_a_better_title_than_the_command_before_them():
    owner, command = make_user(), encode(make_prompt("<command-name>/count</command-name>"))
    import_bytes(make_store(owner=owner), command)
    import_bytes(make_store(owner=owner), command + encode(make_prompt("Count the lamps")))
    assert title() == ("Count the lamps", True)
    assert "lamps" not in str(list(Session.objects.get().events.values_list("payload", flat=True)))


def test_a_title_that_was_given_in_a_transcript_stays():
    named = encode(make_prompt("Count the lamps"), make_line("ai-title", aiTitle="Lamps"))
    import_bytes(make_store(owner=make_user()), named)
    archive_all()
    assert title() == ("Lamps", False)


@pytest.mark.parametrize("cut", ["", "…", "..."])
def test_a_title_that_koda_made_goes_with_its_prompt(koda, cut):
    owner, key = make_user(), koda.start(title=f"Count the{cut}")
    koda.say(key, "user", "Count  the lamps")
    koda.say(key, "assistant", "Nine.")
    Import(koda.path, owner=owner).pull()
    assert title() == (f"Count the{cut}", True)
    archive_all()
    koda.say(key, "user", "And now?")

    Import(koda.path, owner=owner).pull()

    assert title() == ("And now?", True)


def test_a_title_that_koda_was_given_stays(koda):
    key = koda.start(title="Lamps")
    koda.say(key, "user", "Count the lamps")
    Import(koda.path, owner=make_user()).pull()
    archive_all()
    assert title() == ("Lamps", False)


def test_a_title_without_its_clock_goes_with_the_prompt_that_has_one_and_with_no_other(claw):
    owner = make_user()
    for words in ("Count the lamps", "And the doors", "Thanks"):
        claw.append("k", "user", f"[2026-03-01 09:00:00 CET] {words}")
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    rows = Message.objects.order_by("id")
    retention.drop_rows(Session.objects.get().pk, message_ids=[rows[1].pk], by="importer")
    assert title() == ("Count the lamps", True)

    retention.drop_rows(Session.objects.get().pk, message_ids=[rows[0].pk], by="importer")

    assert title() == ("[2026-03-01 09:00:00 CET] Thanks", True)


# --- Sessions ----------------------------------------------------------------------------------------------


def by_deleting() -> None:
    Session.objects.get().remove(by="user:1")
    purge(Policy.DELETED)


def by_staleness() -> None:
    purge(Policy.STALE)


def by_hand() -> None:
    Session.objects.get().destroy(by="user:1")


@pytest.mark.parametrize("destroy", [by_deleting, by_staleness, by_hand])
def test_a_session_that_was_destroyed_stays_away_until_it_is_asked_for_again(claw, destroy):
    owner = make_user("owner")
    claw.append("k", "user", "one")
    run(str(claw.path))
    destroy()

    assert "1 deleted session left deleted" in run(str(claw.path))
    assert not Session.objects.exists()
    dry = Import(claw.path, owner=owner, source="zeroclaw", make=DryStore).pull()
    assert (dry.written.sessions, dry.written.deleted_sessions) == (0, {"k"})
    assert "1 new session and 1 new message" in run(str(claw.path), "--again")
    run(str(claw.path))
    assert imported() == ["one"]


def test_a_key_that_is_used_again_after_its_session_was_destroyed_is_another_session(claw):
    owner = make_user()
    claw.append("k", "user", "one")
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    by_deleting()
    claw.delete("k")
    claw.append("k", "user", "two", at=TEN)

    Import(claw.path, owner=owner, source="zeroclaw").pull()

    assert imported() == ["two"]


def test_a_session_with_an_id_stays_away_whatever_source_it_comes_from(tmp_path):
    local, owner = Local(tmp_path / "local.db"), make_user("owner")
    local.checkpoint(local.session(), {"messages": STEPS})
    StakpakImport(local.path, owner=owner)
    by_deleting()

    StakpakImport(local.path, owner=owner)
    run(str(local.path), "--source", "elsewhere")

    assert not Session.objects.exists()
    StakpakImport(local.path, owner=make_user("another"))
    assert Session.objects.get().owner.username == "another"


def test_what_was_below_a_destroyed_session_stays_away_with_it():
    owner = make_user()
    whole = encode(
        make_prompt("Send a scout"),
        make_answer("m1", call("c1", "Agent", prompt="Look north", subagent_type="scout", description="North")),
        make_prompt("Look north", isSidechain=True, agentId="a1"),
        make_answer("m3", text("Snow."), isSidechain=True, agentId="a1"),
    )
    import_bytes(make_store(owner=owner), whole)
    assert Session.objects.count() == 2
    Session.objects.get(parent=None).destroy(by="user:1")

    import_bytes(make_store(owner=owner), whole)

    assert not Session.objects.exists()


def test_of_a_destroyed_session_nothing_is_remembered_but_that_it_was_and_that_goes_with_its_owner(claw):
    owner = make_user()
    claw.append("telegram_ada", "user", "one")
    Import(claw.path, owner=owner, source="zeroclaw").pull()
    make_session().destroy(by="user:1")
    Session.objects.get(key="telegram_ada").destroy(by="user:1")

    row = PurgedSession.objects.values().get()
    assert set(row) == {"id", "owner_id", "source", "key_digest", "uuid", "created_at"}
    assert "telegram_ada" not in str(row)
    User.objects.get(pk=owner.pk).delete()
    assert not PurgedSession.objects.exists()
