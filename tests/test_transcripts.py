"""transcripts.append: messages arrive in order, once, with all that follows from them."""

from datetime import date, datetime, timedelta, timezone

import pytest

from sessions import transcripts
from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Message, Session, TokenCounts, Usage
from sessions.transcripts import MessageDraft
from tests.factories import make_events, make_message, make_session
from tests.message_drafts import NOW, answering, append, user
from tests.models.bells import listening

pytestmark = pytest.mark.django_db


def test_ids_come_in_order_and_grow_over_all_sessions():
    first, second = make_session(), make_session()
    ids = append(first, user("a"), user("b")).ids + append(second, user("c")).ids + append(first, user("d")).ids
    assert ids == sorted(set(ids))
    assert list(first.messages.order_by("id").values_list("content", flat=True)) == ["a", "b", "d"]


def test_an_id_is_never_used_again():
    session = make_session()
    last = append(session, user()).ids[0]
    Message.objects.get(pk=last).delete()
    assert append(session, user()).ids[0] > last


def test_a_message_keeps_all_that_was_said_of_it():
    session = make_session()
    counts = TokenCounts(
        prompt_tokens=1, completion_tokens=2, cache_read_tokens=3, cache_creation_tokens=4, thinking_tokens=5
    )
    at = NOW - timedelta(days=3, microseconds=1)
    draft = MessageDraft(
        role="assistant", content="c", thinking="t", tool_calls=[], tool_call_id="x", usage=counts, agent_name="scout",
        model="m", client_id="id", created_at=at,
    )  # fmt: skip
    row = Message.objects.get(pk=append(session, draft).ids[0])
    kept = (row.role, row.content, row.thinking, row.tool_calls, row.tool_call_id, row.usage, row.agent_name, row.model)
    assert kept == ("assistant", "c", "t", [], "x", counts, "scout", "m")
    assert (row.client_id, row.created_at, row.compacted_at) == ("id", at, None)


def test_without_a_time_of_its_own_a_message_has_the_servers():
    session = make_session()
    assert Message.objects.get(pk=append(session, user()).ids[0]).created_at == NOW


def test_usage_absent_and_usage_of_zeros_differ():
    session = make_session()
    absent, zeros = append(session, user(), user(usage=TokenCounts())).ids
    assert Message.objects.get(pk=absent).usage is None
    assert Message.objects.get(pk=zeros).usage == TokenCounts()


def test_a_message_belongs_to_the_turn_that_runs():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    assert Message.objects.get(pk=append(session, user()).ids[0]).turn_id == "t"


def test_one_append_is_one_event_that_points_to_its_messages():
    session = make_session()
    ids = append(session, user("a"), user("b")).ids
    event = session.events.get(type="server.messages_added")
    assert event.payload == {"message_ids": ids}
    assert (session.last_seq, session.message_count) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_one_append_rings_once():
    session = make_session()
    with listening() as heard:
        append(session, user("a"), user("b"))
    assert heard == [(session.pk, 2)]


def test_a_repeat_is_not_stored_and_gives_the_id_that_it_has():
    session = make_session()
    first = append(session, user("a", client_id="1"), user("b", client_id="2"))
    again = append(session, user("a", client_id="1"), user("c", client_id="3"), user("b", client_id="2"))
    assert again.duplicates == 2
    assert (again.ids[0], again.ids[2]) == tuple(first.ids)
    assert session.message_count == session.messages.count() == 3


def test_a_repeat_in_one_batch_gives_one_id_twice():
    session = make_session()
    done = append(session, user("a", client_id="1"), user("b"), user("a", client_id="1"))
    assert (done.ids[0], done.duplicates) == (done.ids[2], 1)
    assert session.message_count == 2


def test_the_very_same_draft_twice_is_a_repeat_if_it_has_an_id_and_two_messages_if_not():
    session = make_session()
    named, nameless = user("a", client_id="1"), user("b")
    done = append(session, named, named, nameless, nameless)
    assert (len(set(done.ids)), done.duplicates) == (3, 1)
    assert list(session.messages.order_by("id").values_list("content", flat=True)) == ["a", "b", "b"]


def test_any_id_is_found_again_as_it_was_written():
    names = [
        "1",
        "1.0",
        "01",
        "null",
        "[1]",
        "a,b",
        "a\nb",
        "\x01",
        '"',
        "'",
        "\\",
        "\\u0061",
        "%s",
        "?",
        " ",
        "é",
        "e\u0301",
        "😀",
    ]
    session = make_session()
    first = append(session, *(user(client_id=name) for name in names))
    again = append(session, *(user(client_id=name) for name in reversed(names)))
    assert (first.duplicates, again.duplicates) == (0, len(names))
    assert again.ids == first.ids[::-1]


def test_an_empty_client_id_is_none():
    session = make_session()
    assert append(session, user(client_id=""), user(client_id="")).duplicates == 0
    assert session.messages.filter(client_id=None).count() == 2


def test_client_ids_are_of_one_session_only():
    assert [append(make_session(), user(client_id="1")).duplicates for _ in range(2)] == [0, 0]


def test_a_batch_of_repeats_only_changes_nothing_at_all():
    session = make_session()
    append(session, user(client_id="1"))
    before = Session.objects.values().get(pk=session.pk)
    append(session, user(client_id="1"), now=NOW + timedelta(days=1))
    assert Session.objects.values().get(pk=session.pk) == before
    assert session.events.count() == before["last_seq"]


def test_an_empty_batch_changes_nothing():
    session = make_session()
    before = Session.objects.values().get(pk=session.pk)
    assert append(session) == transcripts.Appended([], 0, 0)
    assert Session.objects.values().get(pk=session.pk) == before


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (MessageDraft(role="phase"), "role"), (MessageDraft(role=""), "role"), (MessageDraft(role="User"), "role"),
        (user(client_id="a\x00"), "client_id"), (user(client_id="x" * 2001), "client_id"),
        (answering("\ud800"), "tool_call_id"),
    ],
)  # fmt: skip
def test_one_bad_item_keeps_the_whole_batch_out_and_is_named(draft, field):
    session = make_session()
    before = Session.objects.values().get(pk=session.pk)
    with pytest.raises(InvalidRequest) as refused:
        append(session, user(), draft)
    assert {error.field for error in refused.value.errors} == {f"messages.1.{field}"}
    assert Session.objects.values().get(pk=session.pk) == before
    assert not session.messages.exists()


def test_importers_and_zeroclaw_keep_roles_as_they_find_them():
    session = make_session()
    append(session, MessageDraft(role="phase", content="x"), MessageDraft(role="é" * 1000), any_role=True)
    assert set(session.messages.values_list("role", flat=True)) == {"phase", "é" * 1000}


@pytest.mark.parametrize("role", ["a\x00", "\ud800", "x" * 2001])
def test_even_then_a_role_must_be_storable(role):
    with pytest.raises(InvalidRequest):
        append(make_session(), MessageDraft(role=role), any_role=True)


def test_an_unknown_session_is_not_found():
    with pytest.raises(NotFound):
        transcripts.append(10**9, [user()])


def test_rows_that_came_archived_are_counted_and_stay_out_of_the_context():
    session = make_session()
    append(session, user("old"), compacted_at=NOW - timedelta(days=1))
    append(session, user("new"))
    assert session.message_count == 2
    assert [row.content for row in transcripts.context(session)] == ["new"]
    assert [row.content for row in Message.objects.of(session.pk).archived()] == ["old"]


# --- Title ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("Fix it", "Fix it"),
        ("  Fix\n\tthe   parser ", "Fix the parser"),
        ("x" * 50, "x" * 50),
        ("x" * 51, "x" * 49 + "…"),
        ("word " * 30, ("word " * 30)[:49].rstrip() + "…"),
        (" \n ", None),
        ("", None),
        (None, None),
    ],
)
def test_the_title_is_the_beginning_of_the_first_prompt(prompt, title):
    session = make_session()
    append(session, user(prompt))
    assert session.title == title


def test_the_title_is_taken_once():
    session = make_session()
    append(session, MessageDraft(role="assistant", content="not me"), user(" "), user("first"), user("second"))
    append(session, user("third"))
    assert session.title == "first"


def test_a_title_that_was_given_stays():
    session = make_session(title="given")
    append(session, user("prompt"))
    assert session.title == "given"


# --- Ledger and counters -------------------------------------------------------------------------------------


def test_tokens_are_kept_by_agent_and_day_and_in_the_session():
    session = make_session()
    counts = TokenCounts(
        prompt_tokens=10, completion_tokens=1, cache_read_tokens=100, cache_creation_tokens=50, thinking_tokens=7
    )
    drafts = [
        MessageDraft(role="assistant", usage=counts),
        MessageDraft(role="assistant", usage=counts),
        MessageDraft(role="assistant", usage=counts, agent_name="scout"),
        MessageDraft(role="assistant", usage=counts, created_at=NOW - timedelta(days=1)),
        MessageDraft(role="assistant"),
    ]
    append(session, *drafts)
    rows = Usage.objects.filter(session=session).order_by("day", "agent_name")
    assert [(row.agent_name, row.day, row.prompt_tokens, row.api_call_count) for row in rows] == [
        ("main", date(2026, 2, 28), 10, 1), ("main", date(2026, 3, 1), 20, 2), ("scout", date(2026, 3, 1), 10, 1),
    ]  # fmt: skip
    assert (session.total_tokens, session.api_call_count) == (44, 4)
    assert (session.cache_read_tokens, session.cache_creation_tokens, session.thinking_tokens) == (400, 200, 28)
    append(session, drafts[0])
    assert Usage.objects.get(session=session, agent_name="main", day=date(2026, 3, 1)).prompt_tokens == 30


def test_agents_are_ranked_by_prompt_and_completion():
    session = make_session()
    for name, prompt, cached in (("b", 1, 10**6), ("a", 5, 0), ("c", 5, 0), (None, 9, 0)):
        append(
            session,
            MessageDraft(
                role="assistant", agent_name=name, usage=TokenCounts(prompt_tokens=prompt, cache_read_tokens=cached)
            ),
        )
    assert [row["agent_name"] for row in Usage.objects.by_agent(session)] == ["main", "a", "c", "b"]


def test_a_day_is_a_day_in_utc():
    session = make_session()
    at = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    append(session, MessageDraft(role="assistant", usage=TokenCounts(prompt_tokens=1), created_at=at))
    assert Usage.objects.get().day == date(2026, 2, 28)


def test_an_answer_of_no_tokens_is_a_model_call_and_one_without_usage_is_none():
    session = make_session()
    append(
        session, MessageDraft(role="assistant", usage=TokenCounts()), MessageDraft(role="assistant", content="cut off")
    )
    assert (session.api_call_count, session.has_usage, session.total_tokens) == (1, True, 0)


def test_repeats_count_nothing():
    session = make_session()
    draft = MessageDraft(role="assistant", client_id="1", usage=TokenCounts(prompt_tokens=5))
    for _ in range(2):
        append(session, draft)
    assert (session.total_tokens, session.api_call_count, Usage.objects.get().prompt_tokens) == (5, 1, 5)


# --- Activity ------------------------------------------------------------------------------------------------

OLD = NOW - timedelta(days=100)


def at(days: int, **facts) -> MessageDraft:
    return user(created_at=OLD + timedelta(days=days), **facts)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([[at(1)]], OLD + timedelta(days=1)),
        ([[at(1), at(3), at(2)]], OLD + timedelta(days=3)),
        ([[at(3)], [at(1)]], OLD + timedelta(days=3)),
        ([[at(1)], [at(3)]], OLD + timedelta(days=3)),
        ([[user()]], NOW),
        ([[at(1), user()]], NOW),
        ([[user()], [at(1)]], NOW),
        ([[at(1)], [user()]], NOW),
        ([[at(400)]], OLD + timedelta(days=400)),
    ],
)
def test_a_session_was_active_when_its_newest_message_was_if_all_have_times_of_their_own(batches, expected):
    session = make_session(created_at=OLD)
    for batch in batches:
        append(session, *batch)
    assert session.last_activity_at == expected


def test_a_message_of_its_own_time_is_nevertheless_heard_now():
    session = make_session()
    append(session, at(1))
    assert (session.heard_at, session.progressed_at, session.updated_at) == (NOW, NOW, NOW)


def test_a_sessions_own_birth_does_not_count_as_activity_once_messages_tell_better():
    session = make_session(now=NOW)
    append(session, at(1))
    assert session.last_activity_at == OLD + timedelta(days=1)


def test_what_was_said_is_found_newest_first_and_by_words():
    session = make_session()
    for content in ("first", "", None, " "):
        make_message(session, role="assistant", content=content)
    rows = Message.objects.of(session.pk).with_words().order_by("-id")
    assert [row.content for row in rows] == [" ", "first"]
