"""search: what is found, by whom, in which order. The same file runs on both databases, so both give these answers."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions import compaction, indexing, search, transcripts
from sessions.exceptions import InvalidRequest
from sessions.models import SearchEntry, Session, Visibility
from sessions.models.search_entry import Kind
from sessions.search import Filters
from tests.factories import make_events, make_message, make_session, make_user
from tests.message_drafts import answering, append, asking, user

pytestmark = pytest.mark.django_db

TEXTS = {
    "cafe": "Le café de la gare, déjà vu",
    "gasse": "Die STRASSE heißt jetzt Gasse",
    "path": "edit /srv/app/main_window.rs and src/lib.rs:42",
    "mail": "write to ada.lovelace@example.org, please",
    "phrase": "the quick brown fox jumps over the lazy dog",
    "turned": "a fox that is brown and quick",
    "japanese": "日本語の検索機能を実装する",
    "code": "SELECT * FROM users WHERE name = 'O''Brien' AND id NOT IN (1, 2)",
    "words": "near and or not NEAR AND OR NOT",
    "percent": "100% of the disk_usage is at 3.14",
    "greek": "Ἀθῆναι και ΣΊΣΥΦΟΣ",
    "polish": "Zażółć gęślą jaźń, Łódź",
    "decomposed": "re\u0301sume\u0301 of the day",
    "version": "upgrade to v1.2.3-beta now",
    "emoji": "deploy 🚀 done",
    "turkish": "İstanbul ve \u0131l\u0131k",
    "ligature": "the of\ufb01cial \ufb02ow ½",
    "long": "x" * 300,
}
QUERIES = {
    "cafe": {"cafe"},
    "CAFÉ": {"cafe"},
    "caf": {"cafe"},
    "deja": {"cafe"},
    "strasse": {"gasse"},
    "heisst": {"gasse"},
    "/srv/app/main_window.rs": {"path"},
    "main_window": {"path"},
    "lib.rs:42": {"path"},
    "window main": {"path"},
    "ada.lovelace@example.org": {"mail"},
    "lovelace": {"mail"},
    '"quick brown"': {"phrase"},
    "quick brown": {"phrase", "turned"},
    '"brown quick"': set(),
    "fox -lazy": {"turned"},
    'fox -"quick brown"': {"turned"},
    "fox -": {"phrase", "turned"},
    "-fox": set(),
    "--fox": {"phrase", "turned"},
    "quick --lazy": {"phrase"},
    "fox ---": {"phrase", "turned"},
    "qui* fox": {"phrase", "turned"},
    "qui fox": set(),
    '"unbalanced quick': set(),
    '"quick brown fo': set(),
    '"quick brown fox': {"phrase"},
    "検索": {"japanese"},
    "日本": {"japanese"},
    "機能 実装": {"japanese"},
    "索検": set(),
    "O'Brien": {"code"},
    "o''brien": {"code"},
    "Brien": {"code"},
    "NEAR": {"words"},
    "AND OR NOT": {"words"},
    "NOT IN (1, 2)": {"code"},
    "100%": {"percent"},
    "disk_usage": {"percent"},
    "3.14": {"percent"},
    "αθηναι": {"greek"},
    "σίσυφος": {"greek"},
    "ΣΙΣΥΦΟΣ": {"greek"},
    "zazolc gesla": {"polish"},
    "lodz": {"polish"},
    "résumé": {"decomposed"},
    "resume": {"decomposed"},
    "v1.2.3": {"version"},
    "1.2": {"code", "ligature"},
    "🚀": set(),
    "deploy 🚀": {"emoji"},
    "istanbul": {"turkish"},
    "ilik": {"turkish"},
    "official flow": {"ligature"},
    "x" * 80: {"long"},
    "words : fox": set(),
    "scope : a": set(),
    "fox) OR (lazy": set(),
    "fo:*": {"phrase", "turned"},
    "!fox & lazy": {"phrase"},
    "f": set(),
    "": set(),
    "   ": set(),
    "... --- ***": set(),
    '"': set(),
    '""': set(),
    "%": set(),
    "\x00": set(),
    "\ud800": set(),
    "NULL'; DROP TABLE x; --": set(),
}


def found(q: str, user, **facts) -> list[int | None]:
    return [hit.message_id for hit in search.search(q, user=user, **facts).items]


@pytest.fixture
def ada(db):
    return make_user("ada")


@pytest.fixture
def library(ada) -> dict[int | None, str]:
    session = make_session(ada, title="Library")
    ids = append(session, *(transcripts.MessageDraft(role="user", content=text) for text in TEXTS.values())).ids
    return dict(zip(ids, TEXTS, strict=True))


@pytest.fixture(params=["as written", "from the rebuilt index"])
def indexed(request, library):
    if request.param != "as written":
        indexing.catch_up(seconds=10)
        indexing.start_again()
    return library


def test_awkward_queries_find_the_same_on_both_databases(ada, indexed):
    answers = {q: {indexed.get(pk) for pk in found(q, ada, limit=100)} for q in QUERIES}
    assert answers == QUERIES


def test_ten_thousand_words_are_read_as_far_as_makes_sense(ada, library):
    assert found("fox " * 10_000, ada)
    assert search.search(" ".join(f"w{n}" for n in range(10_000)), user=ada).items == []


@given(q=st.text(max_size=60) | st.text(alphabet="ab \"-*'():&|!<>\\%_^{}", max_size=40))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_is_an_error(library, ada, q):
    search.search(q, user=ada)


@given(text=st.text(min_size=1, max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_text_finds_itself(ada, text):
    session = make_session(ada)
    pk = make_message(session, content=text + " zebra")
    assert pk in found(f'"{text.replace(chr(34), " ")}" zebra', ada, limit=200)


def test_others_private_sessions_neither_appear_nor_count(ada):
    eve, boss = make_user("eve"), make_user("boss", is_staff=True)
    private, public = make_session(eve, title="Zebra"), make_session(eve, title="Open", visibility=Visibility.PUBLIC)
    make_message(private, content="zebra")
    shown = make_message(public, content="zebra")
    own = make_message(make_session(ada, title="Mine"), content="zebra")

    hits = search.search("zebra", user=ada)
    assert {hit.message_id for hit in hits.items} == {shown, own}
    assert hits.count == 2
    assert hits.facets["role"] == [("user", 2)]
    assert search.search("zebra", user=boss).count == 4
    assert search.search("zebra", user=AnonymousUser()).count == 0


def test_what_becomes_private_is_gone_at_once_and_what_becomes_public_comes(ada):
    session = make_session(make_user("eve"), title="Open", visibility=Visibility.PUBLIC)
    pk = make_message(session, content="zebra")
    assert found("zebra", ada) == [pk]
    session.edit(by="user:1", visibility=Visibility.PRIVATE)
    assert found("zebra", ada) == []
    session.edit(by="user:1", visibility=Visibility.PUBLIC)
    assert found("zebra", ada) == [pk]


def test_what_is_indexed_already_is_found_by_others_once_it_is_public(ada):
    session = make_session(make_user("eve"), title="Mine")
    shown = make_message(session, content="zebra")
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "a", "name": "Bash", "args": {"command": "zebra"}},
        {"type": "tool_call_result", "id": "a", "name": "Bash", "output": "done"},
    )
    indexing.finish()
    assert found("zebra", ada) == []
    session.edit(by="user:1", visibility=Visibility.PUBLIC)
    indexing.finish()
    assert set(found("zebra", ada)) == {None, shown}
    assert SearchEntry.objects.misfiled_count() == 0


def test_what_becomes_private_neither_appears_nor_counts_while_the_index_does_not_know(ada, monkeypatch):
    session = make_session(make_user("eve"), title="Open", visibility=Visibility.PUBLIC)
    make_message(session, content="zebra")
    indexing.finish()
    assert search.search("zebra", user=ada).count == 1
    session.edit(by="user:1", visibility=Visibility.PRIVATE)
    with monkeypatch.context() as slow:
        slow.setattr(search, "_BEHIND", 0)
        hits = search.search("zebra", user=ada)
        assert SearchEntry.objects.misfiled_count() == 2
    assert (hits.items, hits.count, hits.facets, hits.is_behind) == ([], 0, {}, True)
    indexing.finish()
    assert SearchEntry.objects.misfiled_count() == 0


def test_a_deleted_session_is_not_found(ada):
    session = make_session(ada, title="Zebra")
    make_message(session, content="zebra")
    session.remove(by="user:1")
    assert search.search("zebra", user=ada).count == 0


def test_titles_and_keys_are_found(ada):
    session = make_session(ada, title="Fix the parser", key="telegram:4711")
    for q in ("parser", "telegram 4711", "telegram:4711"):
        (hit,) = search.search(q, user=ada).items
        assert (hit.kind, hit.session, hit.message_id) == (Kind.SESSION, session, None)


def test_calls_and_results_are_found_with_their_tool(ada):
    session = make_session(ada)
    call = {"id": "c", "function": {"name": "Bash", "arguments": '{"command": "cargo\\ttest --workspace"}'}}
    asked, answered = append(
        session, transcripts.MessageDraft(role="assistant", tool_calls=[call]), answering("c", "error[E0308]: mismatch")
    ).ids
    assert found('"cargo test"', ada) == [asked]
    (hit,) = search.search("E0308", user=ada).items
    assert (hit.message_id, hit.tool) == (answered, "Bash")
    assert hit.shown_in is not None
    assert hit.shown_in.message_id == asked
    assert set(found("cargo", ada, filters=Filters(tool="Bash"))) == {asked}
    assert found("cargo", ada, filters=Filters(tool="Read")) == []


def test_calls_of_which_only_the_log_tells_are_found_until_a_message_tells_of_them(ada):
    session = make_session(ada)
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "call", "name": "Bash", "args": {"command": "make giraffe"}},
        {"type": "tool_call_result", "id": "call", "success": True, "output": "hyena made"},
    )
    for q in ("giraffe", "hyena"):
        (hit,) = search.search(q, user=ada, filters=Filters(tool="Bash")).items
        assert (hit.kind, hit.tool_call_id) == (Kind.TOOL_CALL, session.tool_calls.get().pk)
    calls = [{"id": "call", "function_name": "Bash", "arguments": {"command": "make giraffe"}}]
    (pk,) = append(session, transcripts.MessageDraft(role="assistant", tool_calls=calls)).ids
    assert found("giraffe", ada) == [pk]


T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILTERS = [
    ({"role": "user"}, {"prompt", "elsewhere"}),
    ({"role": "system"}, set()),
    ({"agent_name": "koda"}, {"prompt", "answer"}),
    ({"agent_name": "zero"}, {"elsewhere"}),
    ({"agent_name": "helper"}, {"helped"}),
    ({"project_root": "/a"}, {"prompt", "answer", "helped"}),
    ({"project_root": "/"}, set()),
    ({"source": "desk"}, {"elsewhere"}),
    ({"after": T0}, {"answer", "elsewhere", "helped"}),
    ({"before": T0 + timedelta(hours=1)}, {"prompt"}),
    ({"after": T0, "before": T0 + timedelta(hours=2)}, {"answer"}),
    ({"state": "running"}, {"elsewhere"}),
    ({"state": "resting"}, {"prompt", "answer", "helped"}),
    ({"state": "nonsense"}, set()),
    ({"role": "user", "source": "laptop"}, {"prompt"}),
]


@pytest.mark.parametrize(("narrow", "expected"), FILTERS, ids=[str(list(narrow.items())) for narrow, _ in FILTERS])
def test_each_filter_narrows(ada, narrow, expected):
    here, there = make_session(ada, project_root="/a"), make_session(ada, source="desk", agent_name="zero")
    names = {
        make_message(here, content="zebra", created_at=T0): "prompt",
        make_message(here, role="assistant", content="zebra", created_at=T0 + timedelta(hours=1)): "answer",
        make_message(here, role="assistant", content="zebra", agent_name="helper",
                     created_at=T0 + timedelta(hours=2)): "helped",
        make_message(there, content="zebra", created_at=T0 + timedelta(hours=3)): "elsewhere",
    }  # fmt: skip
    make_events(there, {"type": "turn_start", "turn_id": "t"})
    hits = search.search("zebra", user=ada, filters=Filters(**narrow)).items
    assert {names[hit.message_id] for hit in hits if hit.message_id} == expected


def test_better_matches_come_first_and_of_equals_the_newest(ada):
    session = make_session(ada, title="About nothing")
    tool = make_message(session, role="tool", content="zebra " + "filler " * 500)
    first = make_message(session, content="one zebra here")
    second = make_message(session, content="one zebra here")
    often = make_message(session, content="zebra zebra zebra")
    named = make_session(ada, title="Zebra")
    hits = search.search("zebra", user=ada).items
    assert [hit.message_id for hit in hits] == [None, often, second, first, tool]
    assert hits[0].session == named


def test_pages_hold_each_match_once_beyond_the_window_too(ada, monkeypatch):
    monkeypatch.setattr(search, "WINDOW", 7)
    session = make_session(ada, title="Many")
    ids = append(
        session, *(transcripts.MessageDraft(role="user", content=f"zebra {'x ' * (n % 5)}") for n in range(20))
    ).ids
    seen, cursor, pages = [], None, 0
    while True:
        hits = search.search("zebra", user=ada, limit=3, cursor=cursor)
        seen += [hit.message_id for hit in hits.items]
        pages += 1
        make_message(session, content="zebra that comes meanwhile")
        if (cursor := hits.next_cursor) is None:
            break
    assert sorted(seen) == ids
    assert pages == 8


@pytest.mark.parametrize("cursor", ["", "1", "a-1", "1-", "-1-0", "1-0 ", "9" * 30 + "-0", "\u0661-\u0662", "1-9999"])
def test_a_cursor_that_is_none_is_refused(ada, cursor):
    with pytest.raises(InvalidRequest):
        search.search("zebra", user=ada, cursor=cursor)


def test_the_window_says_that_there_are_older_ones(ada, monkeypatch):
    monkeypatch.setattr(search, "WINDOW", 2)
    for _ in range(3):
        make_message(make_session(ada), content="zebra")
    hits = search.search("zebra", user=ada)
    assert (hits.count, hits.is_more) == (2, True)
    assert hits.facets["agent_name"] == [("koda", 2)]


def test_a_long_queue_is_left_to_the_keeper_and_said(ada, monkeypatch):
    monkeypatch.setattr(search, "_BEHIND", 1)
    make_message(make_session(ada, title="Late"), content="zebra")
    hits = search.search("zebra", user=ada)
    assert (hits.count, hits.is_behind) == (0, True)
    indexing.catch_up()
    hits = search.search("zebra", user=ada)
    assert (hits.count, hits.is_behind) == (1, False)


def test_what_a_compaction_archived_is_found_and_marked(ada):
    session = make_session(ada, title="Long")
    make_message(session, content="zebra")
    compaction.compact(session.pk, summary="talked of a zebra", preserve_count=0, by="key:1")
    hits = search.search("zebra", user=ada).items
    assert {(hit.role, hit.is_archived) for hit in hits} == {("user", True), ("system", False)}


def test_asking_without_words_shows_the_call(ada):
    session: Session = make_session(ada)
    (pk,) = append(session, asking("c")).ids
    (hit,) = search.search("ls", user=ada).items
    assert hit.message_id == pk
    assert "".join(part.text for part in hit.snippet) == "Bash ls"


def test_what_few_have_is_looked_for_once_and_only_its_sessions_are_read(ada, django_assert_num_queries):
    session = make_session(owner=ada, title="Fish")
    append(session, *(user(f"a herring {number}") for number in range(30)))
    indexing.finish()
    # Who waits to be indexed (2), ids for the very word, ids and entries of what begins so, texts;
    # of the page: sessions, texts, but no calls, since no tool says it.
    with django_assert_num_queries(8):
        hits = search.search("herring", user=ada, limit=5)
    assert [hits.count, len(hits.items), hits.is_more] == [30, 5, False]


def test_the_second_look_goes_on_where_the_first_has_stopped(ada):
    mine, deleted = make_session(owner=ada, title="Fish"), make_session(owner=ada)
    append(mine, user("the oldest herring"))
    for start in range(0, 1200, 400):
        append(deleted, *(user(f"herring {number}") for number in range(start, start + 400)))
    deleted.refresh_from_db()
    deleted.remove(by="ada")
    indexing.finish()
    hits = search.search("herring", user=ada)
    assert [hit.session.pk for hit in hits.items] == [mine.pk]


def test_the_very_word_is_enough_when_more_have_it_than_a_window_holds(ada):
    session = make_session(owner=ada, title="Fish")
    append(session, *(user(f"herring {number}") for number in range(250)), user("herrings"))
    indexing.finish()
    found, cursor, pages = [], None, 0
    while cursor or not pages:
        hits = search.search("herring", user=ada, limit=100, cursor=cursor)
        found += [hit.message_id for hit in hits.items]
        cursor, pages = hits.next_cursor, pages + 1
    assert len(found) == len(set(found)) == 250
    assert search.search("herring*", user=ada).is_more
    assert search.search("herrings", user=ada).count == 1
