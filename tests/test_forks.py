"""Forks: a history copied up to a point, whatever its origin has been through."""

from datetime import timedelta

import pytest
from django.utils import timezone

from sessions import compaction, forks, transcripts
from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Message, Session, TokenCounts, ToolCall
from tests.api.stakpak.calling import call, result, says, user
from tests.factories import make_message, make_session
from tests.test_checkpoints import begin, messages_of

pytestmark = pytest.mark.django_db


def calls(*ids):
    return [{"id": one, "name": "Bash", "arguments": {"command": "ls"}} for one in ids]


def fork(session, **facts):
    return forks.fork_messages(session, by="test", **facts)


def told(session):
    return [(row.role, row.content) for row in session.messages.order_by("pk")]


def context(session):
    return [row.content for row in transcripts.context(session)]


@pytest.fixture
def session():
    return make_session(title="Faster", project_root="/srv/a", model="m", mode="safe")


def test_a_fork_has_the_history_as_far_as_the_message(session):
    ids = [make_message(session, content=str(number)) for number in range(4)]
    made = fork(session, up_to=ids[1])
    made.refresh_from_db()

    assert told(made) == [("user", "0"), ("user", "1")]
    assert (made.title, made.parent, made.owner, made.source) == ("Fork of Faster", session, session.owner, "laptop")
    assert (made.project_root, made.model, made.mode, made.visibility) == ("/srv/a", "m", "safe", "PRIVATE")
    assert (made.state, made.message_count) == ("idle", 2)
    assert made.last_activity_at >= made.created_at
    assert told(session) == [("user", str(number)) for number in range(4)]
    copied = made.events.get(type="server.history_copied").payload
    assert copied == {"up_to_message_id": ids[1], "message_count": 2, "by": "test"}


def test_messages_keep_what_they_say_and_when_but_no_tokens(session):
    facts = {"thinking": "hm", "agent_name": "sub", "model": "big", "client_id": "c"}
    pk = make_message(session, role="assistant", content="", usage=TokenCounts(prompt_tokens=5), **facts)
    made = fork(session)
    made.refresh_from_db()
    old, new = Message.objects.get(pk=pk), made.messages.get()

    same = ("role", "content", "thinking", "agent_name", "model", "created_at")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.usage, new.client_id, made.total_tokens, made.api_call_count) == (None, None, 0, 0)
    assert session.messages.get().usage is not None


def test_at_the_border_of_a_call_and_its_result_the_call_stays_unanswered(session):
    make_message(session, content="go")
    asked = make_message(session, role="assistant", content="looking", tool_calls=calls("a", "b"))
    first = make_message(session, role="tool", content="one", tool_call_id="a")
    make_message(session, role="tool", content="two", tool_call_id="b")

    before, between, after = fork(session, up_to=asked), fork(session, up_to=first), fork(session)
    assert [transcripts.pending(one).call_ids for one in (before, between, after)] == [["a", "b"], ["b"], []]
    assert transcripts.pending(before).is_pending
    assert context(before) == ["go"]
    assert context(between) == ["go", "one"]  # Koda's single pass: the asking row goes, the answered result stays
    assert context(after) == ["go", "looking", "one", "two"]
    make_message(between, role="tool", content="two, later", tool_call_id="b")
    assert context(between) == ["go", "looking", "one", "two, later"]
    assert not between.tool_calls.filter(outcome=None).exists()


def test_calls_end_as_they_ended(session):
    make_message(session, role="assistant", tool_calls=calls("a"))
    make_message(session, role="tool", content="looks well", tool_call_id="a", outcome="failed")

    assert list(ToolCall.objects.filter(session=fork(session)).values_list("outcome", flat=True)) == ["failed"]


def test_a_fork_of_a_fork_is_its_child(session):
    make_message(session, content="one")
    first = fork(session)
    make_message(first, content="two")
    second = fork(first, title="Third way")

    assert told(second) == [("user", "one"), ("user", "two")]
    assert (second.title, second.parent) == ("Third way", first)
    assert told(session) == [("user", "one")]


def test_a_deleted_session_can_be_gone_on_from(session):
    make_message(session, content="one")
    session.remove(by="test")
    made = fork(session)

    assert (told(made), made.status, made.parent) == ([("user", "one")], "ACTIVE", session)


@pytest.fixture
def compacted(session):
    """Ten messages, of which six were archived, then the summary, its hint, and one more."""
    ids = [make_message(session, content=str(number)) for number in range(10)]
    compaction.compact(session.pk, summary="before", preserve_count=4, by="test")
    make_message(session, content="later")
    return ids


def test_behind_a_compaction_what_it_archived_stays_archived(session, compacted):
    made = fork(session)

    assert told(made) == told(session)
    assert context(made) == ["6", "7", "8", "9", "before", compaction.HINT, "later"]
    assert made.messages.archived().count() == 6


def test_before_a_compaction_what_it_archived_is_context_again(session, compacted):
    made = fork(session, up_to=compacted[7])
    inside = fork(session, up_to=compacted[2])

    assert context(made) == [str(number) for number in range(8)]
    assert context(inside) == ["0", "1", "2"]
    assert session.messages.archived().count() == 6


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_compaction_stands_where_it_came_whatever_clock_the_client_has(session, hours):
    at = timezone.now() + timedelta(hours=hours)
    ids = [make_message(session, content=str(number), created_at=at) for number in range(4)]
    compaction.compact(session.pk, summary="s", preserve_count=1, by="test")
    make_message(session, content="later", created_at=at)
    whole = fork(session)

    assert context(fork(session, up_to=ids[-1])) == ["0", "1", "2", "3"]
    assert context(fork(session, up_to=ids[-1] + 1)) == ["3", "s"]
    assert context(whole) == ["3", "s", compaction.HINT, "later"]
    copies = list(whole.messages.order_by("pk").values_list("pk", flat=True))
    assert context(fork(whole, up_to=copies[3])) == ["0", "1", "2", "3"]
    assert context(fork(whole)) == ["3", "s", compaction.HINT, "later"]


def test_between_two_compactions_only_the_first_counts(session, compacted):
    middle = session.messages.order_by("pk").last().pk
    compaction.compact(session.pk, summary="all of it", preserve_count=0, by="test")

    assert context(fork(session, up_to=middle)) == ["6", "7", "8", "9", "before", compaction.HINT, "later"]


def test_an_empty_session_forks_into_an_empty_one(session):
    made = fork(session)

    assert (told(made), made.message_count, made.parent) == ([], 0, session)


def test_a_message_of_another_session_makes_nothing(session):
    elsewhere = make_message(make_session())
    count = Session.objects.count()

    with pytest.raises(InvalidRequest, match="message_id"):
        fork(session, up_to=elsewhere)
    assert Session.objects.count() == count


def test_what_checkpoints_told_forks_as_messages_and_goes_on_with_its_own_checkpoints():
    first = begin([user("a"), says("b", call("1")), result("1"), says("c")])
    row = first.session.messages.order_by("pk")[2]
    made = fork(first.session, up_to=row.pk)

    assert told(made) == [("user", "a"), ("assistant", "b"), ("tool", "done")]
    assert made.active_checkpoint is None


def test_a_fork_of_a_forked_checkpoint_has_the_same_state():
    first = begin([user("a"), says("b")])
    once = forks.fork(first, by="test")
    second = forks.fork(once.checkpoints.get(), by="test")

    assert messages_of(second.checkpoints.get()) == [user("a"), says("b")]
    assert second.title == "Fork of Fork of t"


def test_a_long_history_takes_queries_by_the_batch(session, django_assert_max_num_queries):
    drafts = [transcripts.MessageDraft(role="user", content=str(number)) for number in range(1_000)]
    transcripts.append(session.pk, drafts)
    with django_assert_max_num_queries(130):
        made = fork(session)

    assert [row.content for row in made.messages.order_by("pk")] == [str(number) for number in range(1_000)]


def test_of_a_session_that_has_been_destroyed_there_is_no_fork(session):
    make_message(session)
    checkpoint = begin([user("a")])
    seen = [Session.objects.addressed(one.uuid, user=one.owner) for one in (session, session, checkpoint.session)]
    session.destroy()
    Session.objects.get(pk=checkpoint.session_id).destroy()

    for act in (
        lambda: fork(seen[0]),
        lambda: forks.fork_whole(seen[1], by="test"),
        lambda: forks.fork_whole(seen[2], by="test"),
        lambda: forks.fork(checkpoint, by="test"),
    ):
        with pytest.raises(NotFound):
            act()
    assert not Session.objects.exists()
