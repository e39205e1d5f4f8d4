"""What stands beside a transcript: the checklist, tokens by agent, files, sub-agents."""

import pytest

from sessions.asides import TodoItem, aside, checklist
from sessions.models import File, Metadata, TokenCounts
from tests.factories import make_message, make_session, make_user

CHECKLIST = """# Plan
- [x] find it
  - [X] nested
* [ ] mend it
- [ ] tell of it
- no item
"""


def test_the_first_open_item_is_being_done():
    assert checklist(CHECKLIST) == [
        TodoItem("find it", "done"),
        TodoItem("nested", "done"),
        TodoItem("mend it", "doing"),
        TodoItem("tell of it", "left"),
    ]


@pytest.mark.parametrize("text", ["", "prose", "- []", "- [x]", "[x] no bullet"])
def test_text_that_is_no_checklist_has_no_items(text):
    assert checklist(text) == []


@pytest.mark.django_db
def test_all_of_it_is_read_in_six_queries_at_most(django_assert_num_queries):
    owner = make_user()
    session = make_session(owner)
    Metadata.objects.put(session, "todo", CHECKLIST)
    for number in range(22):
        File.objects.own(session, f"/w/file-{number}")
        make_session(owner, parent=session, title=f"child {number}")
    make_message(
        session, role="assistant", usage=TokenCounts(prompt_tokens=5, completion_tokens=2), agent_name="explore"
    )
    make_message(session, role="assistant", usage=TokenCounts(prompt_tokens=50, completion_tokens=20))
    with django_assert_num_queries(6):
        found = aside(session, can_change=True)
    assert (found.done_count, len(found.todo)) == (2, 4)
    assert [row["agent_name"] for row in found.usage] == ["main", "explore"]
    assert (found.file_count, found.files[0]) == (22, "/w/file-21")
    assert (found.child_count, found.children[0].title) == (22, "child 21")
    assert not found.is_empty


@pytest.mark.django_db
def test_a_short_aside_takes_four_queries(django_assert_num_queries):
    session = make_session()
    File.objects.own(session, "/w/file")
    with django_assert_num_queries(4):
        assert aside(session, can_change=True).file_count == 1


@pytest.mark.django_db
def test_a_session_with_nothing_beside_it_says_so():
    assert aside(make_session(), can_change=True).is_empty
