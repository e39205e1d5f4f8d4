"""search: what is found, by whom, in which order. The same file runs on both databases, so both give these answers."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions import indexing, search, transcripts
from sessions.models import SearchEntry, Visibility
from sessions.models.search_entry import Kind
from sessions.search import Filters
from tests.factories import make_events, make_message, make_session, make_user
from tests.message_drafts import answering, append

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
