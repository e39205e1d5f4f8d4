"""retention: what compactions archived, measured twice, previewed and purged (contracts/koda.md 1.7)."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions import compaction, retention
from sessions.exceptions import InvalidRequest
from sessions.models import Message, Session, TokenCounts, ToolCall
from sessions.retention import Policy, Rule
from tests.factories import make_session, make_user
from tests.message_drafts import answering, append, asking, user
from tests.models.bells import listening
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 31, tzinfo=UTC)


@pytest.fixture
def owner():
    return make_user()


def archived(owner, *drafts, days_ago=10):
    session = make_session(owner)
    append(session, *drafts)
    when = NOW - timedelta(days=days_ago)
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test", now=when)
    session.refresh_from_db()
    return session


def purge(owner, days):
    return purge_archived(owner, min_age_days=days, now=NOW)


def would_purge(owner, days):
    rule = Rule(policy=Policy.COMPACTED, age=days, within=Session.objects.filter(owner=owner))
    return retention.preview(rule, now=NOW).count


def test_sizes_are_counted_as_koda_does_and_honestly(owner):
    calls = asking("a")
    text = '[{"id":"a","function_name":"Bash","arguments":"{\\"command\\": \\"ls\\"}"}]'
    archived(owner, user("größe"), calls, answering("a", "ok"))
    stats = retention.archived_stats(owner)
    assert (stats.message_count, stats.session_count) == (3, 1)
    assert stats.size_bytes == len("größe") + len("ok")  # the row without content adds nothing, calls or not
    assert stats.true_size_bytes == len("größe".encode()) + len("ok") + len(text)
    assert stats.oldest == NOW - timedelta(days=10)


def test_with_nothing_archived_all_figures_are_zero_and_nothing_is_oldest(owner):
    make_session(owner)
    stats = retention.archived_stats(owner)
    assert (stats.message_count, stats.session_count, stats.size_bytes, stats.true_size_bytes) == (0, 0, 0, 0)
    assert stats.oldest is None


@pytest.mark.parametrize(("days", "purged"), [(0, 3), (9, 3), (10, 0), (11, 0)])
def test_the_age_counts_from_the_compaction_and_strictly(owner, days, purged):
    archived(owner, user("a"), user("b"), user("c"))
    assert would_purge(owner, days) == purged
    assert Message.objects.archived().count() == 3
    assert purge(owner, days) == purged
    assert Message.objects.archived().count() == 3 - purged


def test_a_purge_lowers_message_counts_and_never_usage(owner):
    usage = TokenCounts(prompt_tokens=100, completion_tokens=20)
    session = archived(owner, user("a"), asking("c", usage=usage), answering("c"))
    before = (session.total_tokens, session.api_call_count, list(session.usage.values()))
    assert purge(owner, 0) == 3
    session.refresh_from_db()
    assert session.message_count == 2  # summary and hint
    assert (session.total_tokens, session.api_call_count, list(session.usage.values())) == before
    assert not ToolCall.objects.filter(session=session).exists()
    purged, edited = session.events.order_by("-seq")[:2][::-1]
    assert (purged.type, purged.payload["count"]) == ("server.messages_purged", 3)
    assert edited.type == "server.session_edited", "the title that was taken from what is gone"


def test_a_purge_that_makes_a_title_anew_is_no_change_by_which_clients_choose(
    owner, django_capture_on_commit_callbacks
):
    session = archived(owner, user("a"))
    append(session, user("b"))
    assert session.title == "a"
    with listening() as bells, django_capture_on_commit_callbacks(execute=True):
        purge(owner, 0)
    after = Session.objects.get(pk=session.pk)
    assert (after.title, after.updated_at) == ("b", session.updated_at)
    assert after.revision > session.revision
    assert (session.pk, after.last_seq) in bells, "open pages are told"


def test_others_sessions_are_not_touched(owner):
    other = archived(make_user(), user("theirs"))
    archived(owner, user("ours"))
    assert purge(owner, 0) == 1
    assert Message.objects.archived().get().session == other


def test_a_second_purge_finds_nothing(owner):
    archived(owner, user("a"))
    assert [purge(owner, 0), purge(owner, 0)] == [1, 0]


@pytest.mark.parametrize("days", [-1, 10**12])
def test_an_age_that_cannot_be_is_refused(owner, days):
    archived(owner, user("a"))
    with pytest.raises(InvalidRequest):
        purge(owner, days)
    assert Message.objects.archived().count() == 1
