"""A repeat of a message that a purge has destroyed is a repeat for ever (docs/api.md, "Repeats")."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import compaction, revisions
from sessions.models import Message, MessageAlias, Session, TokenCounts
from sessions.transcripts import MessageDraft
from tests.factories import make_session
from tests.message_drafts import answering, append, asking, user
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db

COUNTS = TokenCounts(prompt_tokens=100, completion_tokens=10)


def sent() -> list[MessageDraft]:
    return [
        user("do it")._replace(client_id="k0"),
        asking("c1")._replace(client_id="k1", usage=COUNTS),
        answering("c1", "ok")._replace(client_id="k2"),
        user("nameless"),
    ]


def purged(session: Session) -> Session:
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    assert purge_archived(session.owner) == len(sent())
    session.refresh_from_db()
    return session


def figures(session: Session) -> tuple[int, ...]:
    session.refresh_from_db()
    return session.message_count, session.total_tokens, session.tool_call_count, session.tool_success_count


def test_a_repeat_after_a_purge_is_a_duplicate_with_the_id_that_it_had():
    session = make_session()
    first = append(session, *sent())
    before = figures(purged(session))
    again = append(session, *sent()[:3])
    assert (again.ids, again.duplicates) == (first.ids[:3], 3)
    assert figures(session) == before
    assert before[1:] == (110, 1, 1)


def test_what_is_new_beside_repeats_is_stored():
    session = make_session()
    first = append(session, *sent())
    purged(session)
    mixed = append(session, *sent()[:2], user("next")._replace(client_id="k3"), user("nameless"))
    assert mixed.duplicates == 2
    assert mixed.ids[:2] == first.ids[:2]
    assert list(Message.objects.filter(pk__in=mixed.ids).values_list("content", flat=True)) == ["next", "nameless"]


def test_a_second_purge_adds_to_what_is_known_and_another_session_knows_nothing():
    session, other = make_session(), make_session()
    append(session, *sent())
    purged(session)
    ids = append(session, user("later")._replace(client_id="k9")).ids
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    purge_archived(session.owner)
    assert append(session, sent()[0], user("later")._replace(client_id="k9")).ids[1] == ids[0]
    assert append(other, *sent()).duplicates == 0


def test_what_was_cleared_or_taken_back_may_be_said_again():
    session = make_session()
    append(session, *sent()[:3])
    revisions.remove_last(session.pk, by="test")
    assert append(session, sent()[2]).duplicates == 0
    revisions.clear(session.pk, by="test")
    assert append(session, *sent()).duplicates == 0


def test_a_history_of_checkpoints_may_come_back_after_a_purge():
    session = make_session()
    draft = user("do it")._replace(client_id="checkpoint:7")
    append(session, draft)
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    purge_archived(session.owner)
    assert append(session, draft).duplicates == 0


def test_only_a_session_of_which_something_was_purged_pays_a_query_for_it():
    def asked(session: Session) -> int:
        append(session, user("warm")._replace(client_id="k0"))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            append(session, user("x")._replace(client_id="n1"), user("x")._replace(client_id="n2"))
        return sum("messagealias" in one["sql"] for one in queries)

    plain, worn = make_session(), make_session()
    append(worn, *sent())
    purged(worn)
    assert (asked(plain), asked(worn)) == (0, 1)


def test_what_is_kept_cannot_be_read_and_goes_with_its_session():
    session = make_session()
    append(session, *sent())
    purged(session)
    assert MessageAlias.objects.filter(session=session).count() == 3
    assert not MessageAlias.objects.filter(digest__contains="k1").exists()
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    session.destroy(by="user:1")
    assert not MessageAlias.objects.exists()
