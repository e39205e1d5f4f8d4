"""Find in one session."""

import pytest

from sessions import compaction
from sessions.passages import SHOWN, find
from tests.factories import make_message, make_session

pytestmark = pytest.mark.django_db


def test_every_message_that_says_it_is_told_the_newest_first():
    session = make_session()
    first = make_message(session, content="The Ledger moved")
    make_message(session, content="nothing here")
    last = make_message(session, role="assistant", content="x" * 5000 + " the ledger, again " + "y" * 5000)
    make_message(make_session(), content="another ledger")
    found = find(session, "ledger")
    assert [(one.message_id, one.role) for one in found.passages] == [(last, "assistant"), (first, "user")]
    assert [one.words[1] for one in found.passages] == ["ledger", "Ledger"]
    assert found.passages[1].words == ("The ", "Ledger", " moved")


def test_what_a_tool_gave_back_leads_to_its_call():
    session = make_session()
    call = {"id": "c", "name": "Bash", "arguments": {"command": "cargo test"}}
    asked = make_message(session, role="assistant", content="look", tool_calls=[call])
    make_message(session, role="tool", tool_call_id="c", content="cargo: all green")
    row = session.tool_calls.get()
    assert [(one.message_id, one.call_id) for one in find(session, "green").passages] == [(asked, row.pk)]
    assert [one.role for one in find(session, "CARGO").passages] == ["tool", "call"]


@pytest.mark.parametrize("q", ["100%", "a_b", "\\d", "it's", "[x]", "größe", "“"])
def test_letters_mean_themselves(q):
    session = make_session()
    make_message(session, content=f"before {q} after")
    make_message(session, content="100 aXb d its x grosse")
    assert len(find(session, q).passages) == 1


@pytest.mark.parametrize("q", ["", "  ", "absent"])
def test_nothing_is_found_by_nothing_and_by_what_is_not_there(q):
    session = make_session()
    make_message(session)
    assert find(session, q).passages == []


def test_what_was_archived_is_found_and_said_to_be():
    session = make_session()
    make_message(session, content="needle")
    compaction.compact(session.pk, summary="Short.", preserve_count=0, by="test")
    assert [one.is_archived for one in find(session, "needle").passages] == [True]


def test_a_common_word_gives_the_newest_places_in_three_queries(django_assert_num_queries):
    session = make_session()
    for number in range(SHOWN + 5):
        make_message(session, content=f"word {number}")
    with django_assert_num_queries(3):
        found = find(session, "word")
    assert (len(found.passages), found.is_more) == (SHOWN, True)
    assert found.passages[0].words[2] == f" {SHOWN + 4}"
