"""The filter bar's words, as the rows understand them."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import liveness
from sessions.models import Session
from sessions.models.filtering import StateFilter
from tests.factories import make_copies, make_events, make_session, make_user

pytestmark = pytest.mark.django_db


def titles(**words):
    return set(Session.objects.filtered(**words).values_list("title", flat=True))


@pytest.fixture
def one_of_each():
    long_ago = timezone.now() - timedelta(hours=1)
    start = {"type": "turn_start", "turn_id": "t"}
    ask = {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "ls", "turn_id": "t"}
    failed = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "error", "message": "x"}}
    make_events(make_session(title="stuck"), start, now=long_ago)
    liveness.watch()
    make_events(make_session(title="running"), start)
    make_events(make_session(title="needs"), start, ask)
    make_events(make_session(title="failed"), start, failed)
    make_session(title="resting")


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (StateFilter.NEEDS, {"needs"}),
        (StateFilter.ADRIFT, {"stuck"}),
        (StateFilter.STUCK, {"stuck"}),
        (StateFilter.LOST, set()),
        (StateFilter.RUNNING, {"running"}),
        (StateFilter.QUIET, set()),
        (StateFilter.FAILED, {"failed"}),
        (StateFilter.RESTING, {"resting"}),
        ("nonsense", set()),
        ("", {"stuck", "running", "needs", "failed", "resting"}),
    ],
)
def test_each_state_finds_its_own(one_of_each, state, found):
    assert titles(state=state) == found


@pytest.mark.parametrize("q", ["FIX", "the bug", "koda", "srv/shop", "telegram"])
def test_text_is_found_in_title_agent_project_and_key(q):
    make_session(title="Fix the bug", agent_name="koda", project_root="/srv/shop", key="telegram/1")
    make_session(title="Other", agent_name="codex")
    assert titles(q=q) == {"Fix the bug"}


@pytest.mark.parametrize("q", ["%", "_", "\\", "'", '"; DROP TABLE x'])
def test_signs_of_the_database_are_letters(q):
    make_session(title=f"a {q} b")
    make_session(title="plain")
    assert titles(q=q) == {f"a {q} b"}


def test_words_narrow_together():
    make_session(title="a", agent_name="koda", source="laptop", project_root="/x")
    make_session(title="b", agent_name="koda", source="build", project_root="/x")
    assert titles(agent="koda", project="/x") == {"a", "b"}
    assert titles(agent="koda", project="/x", source="build") == {"b"}
    assert titles(agent="kod") == set()


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL plans by how much there is")
@pytest.mark.parametrize("words", [{"agent": "a"}, {"source": "laptop"}, {"agent": "a", "source": "laptop"}, {}])
def test_how_many_there_are_is_told_by_an_index_alone(words):
    owner = make_user()
    for name in ("a", "b"):
        make_copies(make_session(owner, agent_name=name), 50)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for reader in (owner, make_user(is_staff=True)):
        rows = Session.objects.visible_to(reader).active().filtered(**words).order_by()
        with CaptureQueriesContext(connection) as captured:
            assert rows.count() == (51 if "agent" in words else 102)
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {captured.captured_queries[0]['sql']}")
            assert "USING COVERING INDEX" in str(cursor.fetchall())
