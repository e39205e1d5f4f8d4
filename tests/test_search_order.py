"""search: the order of what is found, page after page, and how far one search looks."""

import pytest

from sessions import compaction, indexing, search, transcripts
from sessions.exceptions import InvalidRequest
from sessions.models import Session
from tests.factories import make_message, make_session, make_user
from tests.message_drafts import append, asking, user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db):
    return make_user("ada")


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
