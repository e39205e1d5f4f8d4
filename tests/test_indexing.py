"""The index is right after every write: what is there is found, what is gone is neither found nor left in its bytes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions import compaction, indexing, search, transcripts
from sessions.models import EventDraft, Message, SearchEntry, Session, Unindexed
from sessions.models.search_index import FULL_TEXT, TABLE, install, tidy
from tests.factories import make_events, make_message, make_session, make_user
from tests.message_drafts import append, user
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="tables and triggers of SQLite")


@pytest.fixture
def ada(db):
    return make_user("ada", is_staff=True)


@pytest.fixture
def session(ada) -> Session:
    return make_session(ada, title="About animals")


def finds(q: str, user) -> list[int | None]:
    return sorted(hit.message_id or 0 for hit in search.search(q, user=user, limit=100).items)


def require_whole() -> None:
    """Hold the index to the records: an entry for each that has words, and every word of it findable."""
    indexing.catch_up(seconds=10)
    assert not Unindexed.objects.exists()
    with_words = {pk for pk, text in Message.objects.values_list("pk", "content") if text}
    assert set(SearchEntry.objects.exclude(message=None).values_list("message", flat=True)) == with_words
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES ('integrity-check', 1)")


def test_what_is_appended_is_found(ada, session):
    first = make_message(session, content="zebra")
    assert finds("zebra", ada) == [first]
    second = make_message(session, content="zebra again")
    assert finds("zebra", ada) == [first, second]
    require_whole()


def test_a_message_that_is_destroyed_is_gone_before_anything_is_indexed(ada, session):
    first, second = (make_message(session, content=text) for text in ("zebra one", "zebra two"))
    indexing.catch_up()
    Message.objects.filter(pk=first).delete()
    assert finds("zebra", ada) == [second]
    require_whole()


def test_a_message_destroyed_before_it_was_indexed_never_is(ada, session):
    pk = make_message(session, content="zebra")
    Message.objects.filter(pk=pk).delete()
    assert finds("zebra", ada) == []
    require_whole()


def test_a_message_that_another_replaces_is_not_found_by_its_old_words(ada, session):
    pk = make_message(session, content="zebra")
    indexing.catch_up()
    with transaction.atomic():
        locked = Session.objects.locked(session.pk)
        Message.objects.filter(pk=pk).update(content="giraffe")
        locked.record([EventDraft(type="server.message_replaced", payload={"message_id": pk})], now=session.created_at)
    assert not SearchEntry.objects.of_messages([pk]).exists()
    assert finds("giraffe", ada) == [pk]
    assert finds("zebra", ada) == []
    require_whole()


def test_summary_and_hint_of_a_compaction_are_found(ada, session):
    pk = make_message(session, content="zebra")
    compaction.compact(session.pk, summary="a zebra was spoken of", preserve_count=0, by="key:1")
    assert len(finds("zebra", ada)) == 2
    purge_archived(ada, min_age_days=0, by="key:1")
    assert pk not in finds("zebra", ada)
    assert len(finds("zebra", ada)) == 1
    require_whole()


def test_title_and_key_are_found_as_they_are_now(ada, session):
    assert finds("animals", ada) == [0]
    session.edit(by="user:1", title="About zebras")
    assert finds("zebras", ada) == [0]
    assert finds("animals", ada) == []
    session.edit(by="user:1", title="")
    assert finds("zebras", ada) == []


def test_the_title_that_the_first_prompt_gives_is_found(ada):
    pk = make_message(make_session(ada), content="zebra")
    assert finds("zebra", ada) == [0, pk]


def test_a_session_that_is_destroyed_leaves_nothing(ada, session):
    make_message(session, content="zebra")
    below = make_session(ada, parent=session, title="Zebra below")
    make_events(
        below,
        {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "zebra"}},
        {"type": "tool_call_result", "id": "c", "output": "zebra"},
    )
    make_message(session, content="zebra that was not indexed yet")
    assert len(finds("zebra", ada)) == 4
    session.destroy()
    assert finds("zebra", ada) == []
    assert not SearchEntry.objects.exists()
    require_whole()


def test_long_sessions_are_indexed_in_pieces(ada, session, monkeypatch):
    monkeypatch.setattr(indexing, "BATCH", 3)
    ids = append(session, *(transcripts.MessageDraft(role="user", content=f"zebra {n}") for n in range(10))).ids
    other = make_message(make_session(ada, title="Other"), content="zebra")
    for n in range(7):
        make_events(
            session,
            {"type": "tool_call_start", "id": f"c{n}", "name": "Bash", "args": {"command": "zebra"}},
            {"type": "tool_call_result", "id": f"c{n}", "output": "done"},
        )
    batches = indexing.catch_up(seconds=10)
    assert batches >= 4
    assert finds("zebra", ada) == sorted([*[0] * 7, *ids, other])
    require_whole()


def test_indexing_again_doubles_nothing(ada, session):
    ids = append(session, *(transcripts.MessageDraft(role="user", content=f"zebra {n}") for n in range(4))).ids
    indexing.catch_up()
    before = SearchEntry.objects.count()
    Unindexed.objects.create(session=session, first_message=1, last_message=ids[-1], first_seq=1, last_seq=99)
    indexing.catch_up()
    assert SearchEntry.objects.count() == before
    require_whole()


def test_an_idle_index_takes_no_lock(django_assert_num_queries):
    with django_assert_num_queries(1):  # whether anything waits
        assert indexing.catch_up() == 0


def test_deltas_cost_the_queue_nothing(session):
    Unindexed.objects.all().delete()
    make_events(session, {"type": "text_delta", "text": "zebra"}, {"type": "info", "message": "zebra"})
    assert not Unindexed.objects.exists()


def test_a_rebuild_that_was_interrupted_is_ended_by_the_keeper(ada, session):
    pk = make_message(session, content="zebra")
    indexing.catch_up()
    indexing.start_again()
    assert not SearchEntry.objects.exists()
    assert finds("zebra", ada) == [pk]
    require_whole()


@on_sqlite
def test_the_index_survives_a_remake_of_its_table(ada, session):
    pk = make_message(session, content="zebra")
    indexing.catch_up()
    with connection.cursor() as cursor:  # as a migration does: new table, copy, drop, rename
        cursor.execute("SELECT sql FROM sqlite_master WHERE name = %s", [TABLE])
        made = cursor.fetchone()[0]
        cursor.execute(made.replace(TABLE, "remade", 1))
        cursor.execute(f"INSERT INTO remade SELECT * FROM {TABLE}")
        cursor.execute(f"DROP TABLE {TABLE}")
        cursor.execute(f"ALTER TABLE remade RENAME TO {TABLE}")
        cursor.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE])
        assert cursor.fetchone() == (0,)

    assert install(connection) is True
    assert install(connection) is False
    assert finds("zebra", ada) == [pk]
    Message.objects.filter(pk=pk).delete()
    assert finds("zebra", ada) == []
    require_whole()


@on_sqlite
@pytest.mark.parametrize(("name", "of_sqlite"), [("automerge", 4), ("crisismerge", 16)])
def test_a_full_text_table_of_before_merges_as_a_new_one_does(name, of_sqlite):
    with connection.cursor() as cursor:

        def setting():
            cursor.execute(f"SELECT v FROM {FULL_TEXT}_config WHERE k = '{name}'")
            return cursor.fetchone()[0]

        new = setting()
        assert new > of_sqlite
        cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES ('{name}', {of_sqlite})")
        assert setting() == of_sqlite
        assert install(connection) is False
        assert setting() == new


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_purged_text_is_left_in_the_bytes_of_the_index():
    ada = make_user(is_staff=True)
    session = make_session(ada, title="Animals")
    secret, others = "quaggamuffin", [f"zebra {n}" for n in range(300)]
    append(session, *(transcripts.MessageDraft(role="user", content=text) for text in (*others, f"the {secret} token")))
    indexing.catch_up(seconds=10)
    with connection.cursor() as cursor:
        assert is_in_index(cursor, secret[:12])
        compaction.compact(session.pk, summary="s", preserve_count=0, by="key:1")
        purge_archived(ada, min_age_days=0, by="key:1")
        assert not is_in_index(cursor, secret[1:])
        tidy(connection)
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = Path(connection.settings_dict["NAME"])
    assert secret[1:].encode() not in path.read_bytes()


def is_in_index(cursor, word: str) -> bool:
    """Say whether the bytes of the full-text table hold `word`; of neighbours it keeps only where they differ."""
    cursor.execute(f"SELECT block FROM {FULL_TEXT}_data")
    return any(word.encode() in bytes(block) for (block,) in cursor.fetchall() if block)


def own_entry(session: Session) -> int:
    return SearchEntry.objects.get(session=session, message=None, tool_call=None).pk


def test_the_entry_of_a_session_is_renewed_when_its_name_changes_and_not_with_each_message(ada):
    session = make_session(ada)
    make_message(session, content="Count the zebras")  # which becomes its title
    indexing.catch_up()
    first = own_entry(session)
    make_message(session, content="and the lions")
    indexing.catch_up()
    assert own_entry(session) == first
    session.edit(title="Lions", by="agent")
    indexing.catch_up()
    assert own_entry(session) > first
    assert 0 in finds("lions", ada)
    require_whole()


def test_a_batch_takes_and_writes_only_what_it_can_index(ada, monkeypatch):
    monkeypatch.setattr(indexing, "BATCH", 5)
    sessions = [make_session(ada, title=f"Zebra {n}") for n in range(30)]
    indexing.catch_up(seconds=10)
    for session in sessions:
        append(session, *[user(f"zebra {n}") for n in range(3)])
    waiting = list(Unindexed.objects.order_by("pk").values("pk", "first_message", "last_message"))
    with CaptureQueriesContext(connection) as asked:
        assert indexing.catch_up(seconds=0) == 1
    rest = list(Unindexed.objects.order_by("pk").values("pk", "first_message", "last_message"))
    assert rest[1:] == waiting[2:], "what lies behind the batch is left as it was"
    assert rest[0] == {**waiting[1], "first_message": waiting[1]["first_message"] + 2}
    assert len([query for query in asked if query["sql"].startswith("UPDATE")]) == 1
    require_whole()


def sizes_of_batches(monkeypatch) -> list[int]:
    """Return where the sizes that are asked for will be noted."""
    sizes, index = [], indexing._index_batch

    def noting(size: int) -> bool:
        sizes.append(size)
        return index(size)

    monkeypatch.setattr(indexing, "_index_batch", noting)
    return sizes


def test_who_takes_turns_has_one_for_a_short_batch_at_a_time(ada, session, monkeypatch):
    monkeypatch.setattr(indexing, "SHORT_BATCH", 4)
    append(session, *[user(f"zebra {n}") for n in range(10)])
    sizes = sizes_of_batches(monkeypatch)
    assert indexing.catch_up(seconds=60, takes_turns=True) == 3
    assert sizes == [4] * 4
    require_whole()


def test_an_index_that_is_far_behind_goes_on_in_long_batches(ada, session, monkeypatch):
    near, long, short = indexing.MOST_WAITING, indexing.BATCH, indexing.SHORT_BATCH
    append(session, *[user(f"zebra {n}") for n in range(near + long)])
    sizes = sizes_of_batches(monkeypatch)
    indexing.catch_up(seconds=60, takes_turns=True)
    assert sizes[:3] == [long, short, short]
    require_whole()


def test_who_writes_much_lets_the_index_come_near(ada, session, monkeypatch):
    monkeypatch.setattr(indexing, "BATCH", 5)
    monkeypatch.setattr(indexing, "MOST_WAITING", 12)
    for n in range(4):
        append(session, *[user(f"zebra {n}") for _ in range(10)])
    assert Unindexed.objects.message_count() == 40
    indexing.keep_up(seconds=60)
    assert 7 < Unindexed.objects.message_count() <= 12
    before = Unindexed.objects.message_count()
    indexing.keep_up(seconds=60)
    assert Unindexed.objects.message_count() == before
    indexing.catch_up(seconds=60)
    assert Unindexed.objects.message_count() == 0
    require_whole()


def test_batches_of_single_messages_and_of_stretches_leave_nothing_out_and_enter_nothing_twice(ada):
    sessions = [make_session(ada, title="Animals") for _ in range(3)]
    indexing.finish()
    for number, size in enumerate((1, 40, 1, 25, 70, 1, 1, 61)):
        append(sessions[number % 3], *[user(f"zebra {number} {n}") for n in range(size)])
    for session in sessions[:2]:
        Unindexed.objects.requeue(session)  # each of their messages waits twice
    batches = indexing.catch_up(seconds=60, takes_turns=True)
    assert batches > 200 // indexing.SHORT_BATCH
    assert SearchEntry.objects.filter(message=None).count() == 3
    entered = SearchEntry.objects.exclude(message=None).order_by("message").values_list("message", flat=True)
    assert list(entered) == list(Message.objects.order_by("pk").values_list("pk", flat=True))
    require_whole()


@pytest.mark.slow
def test_a_hundred_thousand_messages(ada, session, django_assert_max_num_queries):
    """Common and rare words alike go by the index, and read a bounded number of rows."""
    texts = (
        f"alpha message {n} about {'a rare walrus' if n % 25_000 == 7 else 'nothing much'}" for n in range(100_000)
    )
    Message.objects.bulk_create(
        (Message(session=session, role="user", content=text, created_at=session.created_at) for text in texts),
        batch_size=1000,
    )
    indexing.start_again()
    while indexing.catch_up(seconds=60):
        pass
    with django_assert_max_num_queries(16):
        common, rare = search.search("alpha", user=ada), search.search("walrus", user=ada)
    assert (common.count, common.is_more, rare.count) == (search.WINDOW, True, 4)
    plan = SearchEntry.objects.matching(search.parse("alpha walr")).explain()
    assert FULL_TEXT in plan or "VIRTUAL TABLE" in plan or "Bitmap" in plan, plan
    assert f"SCAN {TABLE}" not in plan
    assert f"Seq Scan on {TABLE}" not in plan


@pytest.mark.django_db(transaction=True)
def test_four_that_index_at_once_while_one_writes_double_nothing_and_leave_nothing_out():
    ada = make_user(is_staff=True)
    sessions = [make_session(ada, title=f"Zebra {n}") for n in range(4)]
    is_over = threading.Event()

    def index() -> None:
        try:
            while not is_over.is_set():
                indexing.catch_up(seconds=0.01)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(index) for _ in range(4)]
        for n in range(60):
            make_message(sessions[n % 4], content=f"zebra {n}")
        is_over.set()
    assert [worker.exception() for worker in workers] == [None] * 4
    require_whole()
    assert len(finds("zebra", ada)) == 64
