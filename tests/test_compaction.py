"""compaction.plan and compact: Koda's rules, quirks included (contracts/koda.md 1.7)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions import compaction, transcripts
from sessions.compaction import HINT, plan
from sessions.exceptions import InvalidRequest, NotFound, TooLarge
from sessions.models import Message, TokenCounts
from tests.factories import make_session
from tests.message_drafts import answering, append, asking, user

NOW = datetime(2026, 3, 1, 13, tzinfo=UTC)


def compact(session, preserve_count, summary="What happened", now=NOW):
    count = compaction.compact(session.pk, summary=summary, preserve_count=preserve_count, by="test", now=now)
    session.refresh_from_db()
    return count


def contents(rows):
    return [row.content for row in rows]


def context(session):
    return contents(transcripts.context(session))


@given(count=st.integers(0, 60), preserve=st.integers(0, 80))
def test_a_plan_keeps_the_last_rows_and_archives_the_rest_in_order(count, preserve):
    ids = list(range(100, 100 + count))
    archived = plan(ids, preserve_count=preserve)
    assert archived == ids[: len(archived)]
    assert len(ids) - len(archived) == min(count, preserve)


@pytest.mark.django_db
class TestCompact:
    """With a session of ten prompts."""

    @pytest.fixture
    def session(self):
        session = make_session()
        append(session, *(user(f"m{number}") for number in range(10)))
        return session

    def test_summary_and_hint_come_after_the_kept_tail(self, session):
        assert compact(session, 4) == 6
        assert context(session) == ["m6", "m7", "m8", "m9", "What happened", HINT]
        roles = [row.role for row in transcripts.context(session)]
        assert roles[-2:] == ["system", "assistant"]

    def test_nothing_is_destroyed(self, session):
        compact(session, 4)
        rows = Message.objects.of(session.pk)
        assert contents(rows) == [f"m{number}" for number in range(10)] + ["What happened", HINT]
        assert {row.compacted_at for row in rows[:6]} == {NOW}
        assert session.message_count == 12

    @pytest.mark.parametrize("preserve_count", [10, 11, 1000])
    def test_with_nothing_to_archive_nothing_is_inserted_or_recorded(self, session, preserve_count):
        before = session.last_seq
        assert compact(session, preserve_count) == 0
        assert session.message_count == 10
        assert session.last_seq == before

    def test_an_empty_session_has_nothing_to_archive(self):
        session = make_session()
        assert compact(session, 0) == 0
        assert session.message_count == 0

    def test_keeping_none_archives_all(self, session):
        assert compact(session, 0) == 10
        assert context(session) == ["What happened", HINT]

    def test_a_second_compaction_archives_the_older_tail_and_then_the_older_summary(self, session):
        compact(session, 4)
        assert compact(session, 3, summary="More happened") == 3
        assert context(session) == ["m9", "What happened", HINT, "More happened", HINT]
        assert compact(session, 2, summary="All of it") == 3
        assert context(session) == ["More happened", HINT, "All of it", HINT]

    def test_a_border_through_a_pair_hides_what_is_left_of_it(self):
        session = make_session()
        append(session, user("go"), asking("a"), answering("a"), user("on"))
        assert compact(session, 2) == 2  # the call is archived, its result kept
        assert context(session) == ["on", "What happened", HINT]
        assert next(row.role for row in Message.objects.of(session.pk).unarchived()) == "tool"

    def test_the_new_rows_cost_no_tokens_and_move_no_activity(self, session):
        append(session, user("x"), asking("a", usage=TokenCounts(prompt_tokens=7, completion_tokens=2)))
        before = (session.total_tokens, session.api_call_count, session.last_activity_at)
        compact(session, 1, now=NOW + timedelta(hours=1))
        assert (session.total_tokens, session.api_call_count, session.last_activity_at) == before

    def test_one_event_tells_of_it_and_copies_no_text(self, session):
        compact(session, 4, summary="the secret summary")
        event = session.events.latest("seq")
        assert event.type == "server.compacted"
        assert event.payload["archived"] == 6
        summary = Message.objects.get(pk=event.payload["summary_message_id"])
        assert summary.content == "the secret summary"
        assert "secret" not in str(event.payload)

    def test_a_negative_count_an_overlong_summary_and_an_unknown_session_change_nothing(self, session, settings):
        settings.KODA_MAX_CONTENT = 1000
        with pytest.raises(InvalidRequest):
            compact(session, -1)
        with pytest.raises(TooLarge, match="1,000"):
            compact(session, 1, summary="é" * 501)
        with pytest.raises(NotFound):
            compaction.compact(10**9, summary="", preserve_count=0, by="test")
        session.refresh_from_db()
        assert session.message_count == 10
        assert not Message.objects.archived().exists()
