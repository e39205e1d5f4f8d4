"""Nothing of a purged text is left: in the tables and the index at once, in the files after they were rewritten."""

from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import alerts, compaction, forks, indexing, liveness, retention
from sessions.models import Delivery, Session, Webhook
from sessions.retention import rows
from tests.api.calling import Agent, agent_of
from tests.factories import make_session, make_user
from tests.message_drafts import append, user
from tests.purging import purge
from tests.retention.words import NOW, days_ago, places_of, speak, tell

SECRET, OTHER = "qzvaxolotl", "wombatlike"
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL's files are not ours to read")


def archive_all(session: Session) -> None:
    compaction.compact(session.pk, summary="It was about animals.", preserve_count=0, by="test", now=days_ago(39))


@pytest.mark.django_db
def test_an_archived_text_leaves_every_table_and_every_index():
    session = make_session()
    speak(session, SECRET, at=days_ago(40))
    archive_all(session)
    speak(session, OTHER, at=days_ago(2))
    spoken = {"event", "message", "toolcall", "request", "command", "session", "searchentry"}
    assert spoken <= places_of(SECRET)
    purged = purge("compacted", 30, now=NOW)
    assert purged.counts["messages"] == 3
    assert places_of(SECRET) == set()
    assert spoken <= places_of(OTHER), "what was said later stays, the new title too"
    session.refresh_from_db()
    assert session.title == f"the {OTHER} again"
    indexing.start_again()
    indexing.finish()
    assert places_of(SECRET) == set()


@pytest.mark.django_db
def test_an_archived_text_leaves_a_session_that_said_nothing_since():
    session = make_session()
    speak(session, SECRET, at=days_ago(40))
    archive_all(session)
    purge("compacted", 30, now=NOW)
    assert places_of(SECRET) == set()
    session.refresh_from_db()
    assert session.title is None


@pytest.mark.django_db
def test_a_title_that_a_purge_made_anew_leaves_with_its_prompt():
    session = make_session()
    words = (SECRET, OTHER, "numbatlike")
    for word in words:
        append(session, user(f"{word} please"), now=days_ago(40))
    prompts = session.messages.order_by("id").values_list("pk", flat=True)
    for pk, title in zip(list(prompts), (*words[1:], None), strict=True):
        session.messages.filter(pk=pk).update(compacted_at=days_ago(39))
        purge("compacted", 30, now=NOW)
        session.refresh_from_db()
        assert session.title == (title and f"{title} please")
        edited = session.events.filter(type="server.session_edited").latest("seq")
        assert edited.payload == {"changes": {"title": None}, "is_title_derived": title is not None, "by": "test"}
    assert [places_of(word) for word in words] == [set(), set(), set()]


@pytest.mark.django_db
def test_the_title_of_a_fork_leaves_with_its_own_copy_of_the_prompt():
    origin = make_session()
    append(origin, user(SECRET), now=days_ago(41))
    fork = forks.fork_whole(origin, by="test", now=days_ago(40))
    named = forks.fork_whole(origin, by="test", title="Animals", now=days_ago(40))
    assert fork.title == f"Fork of {SECRET}"
    for session in (origin, fork, named):
        archive_all(session)
    append(fork, user(OTHER), now=days_ago(2))
    indexing.catch_up(seconds=5)

    purge("compacted", 30, now=NOW)

    assert places_of(SECRET) == set()
    assert set(Session.objects.values_list("title", flat=True)) == {None, OTHER, "Animals"}


@pytest.mark.django_db
@pytest.mark.parametrize("is_whole_source", [False, True])
def test_what_was_told_of_a_session_later_leaves_no_title_of_it(is_whole_source):
    owner = make_user()
    Webhook.objects.register(owner=owner, url="https://example.org/hook")
    session = make_session(owner)
    append(session, user(SECRET), now=days_ago(40))
    archive_all(session)
    running = [session, *(make_session(owner) for _ in range(2 if is_whole_source else 0))]
    for one in running:
        tell(one, {"type": "turn_start", "turn_id": "t"}, at=days_ago(2))
    liveness.watch(now=days_ago(1.9))
    alerts.spread(now=days_ago(1.8))
    (delivery,) = alerts.take(now=days_ago(1.8))
    assert SECRET in str(alerts.told_of(delivery))
    delivery.note_told(200, now=days_ago(1.8))

    purge("compacted", 30, now=NOW)

    assert Delivery.objects.exists()
    assert places_of(SECRET) == set()


@pytest.mark.django_db
def test_what_an_older_version_wrote_of_titles_is_taken_out_of_the_log():
    session = make_session()
    append(session, user(f"{SECRET} please"), user("and then"), now=days_ago(40))
    session.messages.filter(pk=session.messages.earliest("pk").pk).update(compacted_at=days_ago(39))
    purge("compacted", 30, now=NOW)
    session.edit(by="user:1", title=f"About {OTHER}")
    edits = session.events.filter(type="server.session_edited").order_by("seq")
    edits.filter(pk=edits[0].pk).update(payload={"changes": {"title": f"{SECRET} please"}, "by": "test"})
    assert places_of(SECRET) == {"event"}

    import_module("sessions.migrations.0026_titles_in_the_log").forget_titles(apps, None)

    assert places_of(SECRET) == set()
    assert [event.payload for event in edits.all()] == [
        {"changes": {"title": None}, "is_title_derived": True, "by": "test"},
        {"changes": {"title": f"About {OTHER}"}, "by": "user:1"},
    ]


@pytest.mark.django_db
def test_a_title_that_somebody_gave_stays():
    session = make_session(title="About animals")
    speak(session, SECRET, at=days_ago(40))
    archive_all(session)
    purge("compacted", 30, now=NOW)
    session.refresh_from_db()
    assert session.title == "About animals"


@pytest.mark.django_db
def test_an_interrupted_purge_of_archived_messages_leaves_nothing_to_forget(monkeypatch):
    """The log goes first: as long as a copy is left, so is the message by which the next run finds it."""
    monkeypatch.setattr(rows, "EVENTS_AT_ONCE", 5)
    session = make_session()
    for _ in range(2):
        speak(session, SECRET, at=days_ago(40))
    archive_all(session)
    rule = retention.Rule(policy=retention.Policy.COMPACTED, age=30)
    looks = iter([False, True])
    stopped = retention.purge(rule, by="test", now=NOW, is_told_to_stop=lambda: next(looks))
    assert not stopped.is_complete
    assert session.messages.archived().count() == 6
    purge("compacted", 30, now=NOW)
    assert places_of(SECRET) == set()


@on_sqlite
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("policy", ["compacted", "stale", "deleted", "events"])
def test_nothing_is_left_in_the_bytes_of_the_file_and_its_log(policy):
    session = make_session(title="Animals")
    speak(session, SECRET, at=days_ago(40))
    archive_all(session)
    speak(make_session(), OTHER, at=NOW)
    if policy == "events":
        Session.objects.get(pk=session.pk).messages.all().delete()
        session.tool_calls.all().delete()
    if policy == "deleted":
        session.remove(by="user:1", now=days_ago(35))
    assert is_in_files(SECRET)
    purge(policy, 24 * 30 if policy == "stale" else 30, now=NOW)
    assert places_of(SECRET) == set()
    assert retention.give_back()
    assert not is_in_files(SECRET)
    assert is_in_files(OTHER)


def is_in_files(word: str) -> bool:
    path = Path(connection.settings_dict["NAME"])
    files = [path, *path.parent.glob(f"{path.name}-*")]
    assert any(file.name.endswith("-wal") for file in files)
    return any(word[3:].encode() in file.read_bytes() for file in files)


@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.django_db(transaction=True)
def test_on_postgresql_the_tables_are_vacuumed():
    make_session()
    assert retention.give_back()


# --- Answers kept for repeated requests -------------------------------------------------------------------------


def answered(owner: User, word: str) -> tuple[Agent, Session]:
    """Return an agent, and its session of which two kept answers repeat the word."""
    agent = agent_of(owner)
    made = agent.post("sessions", {"agent_name": "koda", "title": word}, Idempotency_Key=f"{word} made")
    state = {"state": {"messages": [{"role": "user", "content": word}]}}
    path = f"sessions/{made['id']}/checkpoints"
    assert agent.post(path, state, Idempotency_Key=f"{word} stepped").status == 201
    return agent, Session.objects.get(uuid=made["id"])


@pytest.mark.django_db
@pytest.mark.parametrize("door", ["api", "admin", "purge", "parent"])
def test_answers_go_with_the_session_that_they_tell_of(door, client):
    boss = make_user("boss", is_staff=True, is_superuser=True)
    client.force_login(boss)
    answered(boss, OTHER)
    agent, session = answered(boss, SECRET)
    assert "storedanswer" in places_of(SECRET)
    match door:
        case "api":
            agent.delete(f"sessions/{session.uuid}?permanent=true")
        case "admin":
            client.post(f"/admin/koda_sessions/session/{session.pk}/delete/", {"post": "yes"})
        case "purge":
            session.remove(by="test")
            purge("deleted")
        case "parent":
            parent = make_session(boss)
            Session.objects.filter(pk=session.pk).update(parent=parent)
            parent.destroy()
    assert places_of(SECRET) == set()
    assert "storedanswer" in places_of(OTHER), "others' stay"


@pytest.mark.django_db
def test_answers_go_with_the_messages_that_they_repeat():
    agent, session = answered(make_user(), "title")
    agent.post(f"sessions/{session.uuid}/checkpoints", {"state": {"messages": [{"role": "user", "content": SECRET}]}},
               Idempotency_Key="second")  # fmt: skip
    assert "storedanswer" in places_of(SECRET)
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    purge("compacted", 0)
    assert "storedanswer" not in places_of(SECRET)


@pytest.mark.django_db
def test_kept_answers_are_read_once_however_many_sessions_go():
    def queries(children: int) -> int:
        parent = make_session()
        for _ in range(children):
            make_session(parent.owner, parent=parent)
        with CaptureQueriesContext(connection) as taken:
            parent.destroy()
        return sum("storedanswer" in query["sql"] for query in taken)

    assert queries(5) == queries(1) > 0
