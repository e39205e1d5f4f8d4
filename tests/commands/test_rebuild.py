"""manage.py rebuild."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from sessions import compaction, transcripts
from sessions.models import Event, FigureSum, Footprint, SearchEntry, Session, Share
from sessions.models.search_index import FULL_TEXT
from sessions.stats import Period, figures
from tests.factories import make_events, make_message, make_session, make_user
from tests.message_drafts import answering, append, asking
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("rebuild", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def ada(db):
    return make_user("ada")


@pytest.fixture
def session(ada) -> Session:
    """A session in which every counter counts something."""
    session = make_session(ada, title="Busy")
    usage = transcripts.TokenCounts(prompt_tokens=3, completion_tokens=4, cache_read_tokens=5)
    append(session, asking("a", "b", "c", usage=usage), answering("a"), answering("b", "User rejected this action"))
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "d", "name": "Bash", "args": {}},
        {"type": "tool_call_result", "id": "d", "success": False, "output": "no"},
        {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}},
    )
    session.refresh_from_db()
    return session


def test_what_the_verbs_count_is_what_the_records_say(session):
    assert run() == "0 counters of 1 sessions differed and were set right.\n"
    assert run("--check", "--json") == '{"sessions": 1, "differences": []}\n'
    assert not Event.objects.filter(type="server.session_recounted").exists()


def test_a_difference_is_told_and_set_right_once(session):
    before = {name: getattr(session, name) for name in ("message_count", "prompt_tokens", "tool_failed_count")}
    Session.objects.filter(pk=session.pk).update(message_count=7, prompt_tokens=0, tool_failed_count=9)

    lines = run().splitlines()

    assert lines[0] == f"{session.uuid}  message_count: kept 7, counted {before['message_count']}"
    assert lines[-1] == "3 counters of 1 sessions differed and were set right."
    session.refresh_from_db()
    assert {name: getattr(session, name) for name in before} == before
    assert session.events.get(type="server.session_recounted").payload == {**before, "by": "shell"}
    assert run().startswith("0 counters")


def test_check_changes_nothing_and_ends_with_1(session, capsys):
    Session.objects.filter(pk=session.pk).update(turn_count=5)
    with pytest.raises(SystemExit) as ended:
        run("--check", "--json")
    assert ended.value.code == 1
    session.refresh_from_db()
    assert session.turn_count == 5
    assert not session.events.filter(type="server.session_recounted").exists()


def test_a_footprint_that_is_wrong_is_told_and_measured_again(session, capsys):
    assert run("--check").startswith("0 counters")
    size = Footprint.objects.get(session=session).size
    Footprint.objects.filter(session=session).update(size=1)

    with pytest.raises(SystemExit) as ended:
        run("--check")
    assert ended.value.code == 1
    assert Footprint.objects.get(session=session).size == 1

    assert run().splitlines() == [
        f"{session.uuid}  footprint.size: kept 1, counted {size:,}",
        "1 counters of 1 sessions differed and were set right.",
    ]
    assert Footprint.objects.get(session=session).size == size
    assert run("--check").startswith("0 counters")


def test_what_a_purge_destroyed_stays_counted(ada, session):
    compaction.compact(session.pk, summary="s", preserve_count=0, by="key:1")
    purge_archived(ada, min_age_days=0, by="key:1")
    assert not session.tool_calls.filter(call_id="a").exists()
    assert json.loads(run("--json"))["differences"] == []


def test_the_index_is_made_anew(session):
    pk = make_message(session, content="zebra")
    run("--search")
    entries = SearchEntry.objects.count()
    SearchEntry.objects.of_messages([pk]).delete()

    with pytest.raises(SystemExit):
        run("--search", "--check")

    assert run("--search") == f"The search index was made anew: {entries:,} entries.\n"
    assert run("--search", "--check") == "The search index is sound and lacks 0 messages.\n"
    assert json.loads(run("--search", "--json")) == {"differences": [], "entries": entries}


def test_entries_that_stand_under_what_their_session_no_longer_is_are_told(session):
    make_message(session, content="zebra")
    run("--search")
    Session.objects.filter(pk=session.pk).update(visibility="PUBLIC")
    with pytest.raises(SystemExit):
        run("--search", "--check")
    run("--search")
    assert run("--search", "--check") == "The search index is sound and lacks 0 messages.\n"


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL keeps words and rows together")
def test_a_full_text_table_that_lost_a_row_is_found_and_mended(session):
    pk = make_message(session, content="zebra")
    run("--search")
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}) VALUES ('delete-all')")
    with pytest.raises(SystemExit):
        run("--search", "--check")
    run("--search")
    assert run("--search", "--check") == "The search index is sound and lacks 0 messages.\n"
    assert SearchEntry.objects.of_messages([pk]).exists()


def test_figures_that_are_wrong_are_told_and_counted_again(session, capsys):
    run()
    right = Share.objects.get(session=session).days
    Share.objects.update(days={day: {**amounts, "turn_seconds": 77} for day, amounts in right.items()})

    with pytest.raises(SystemExit):
        call_command("rebuild", "--check")
    assert f"{session.uuid}  figures.turn_seconds: kept 154, counted 0" in capsys.readouterr().out
    assert "figures.turn_seconds: kept 154" in run()
    assert Share.objects.get(session=session).days == right
    assert run("--check").startswith("0 counters")


def sums() -> list[dict[str, int]]:
    return [row.amounts for row in FigureSum.objects.order_by("grain", "scope", "slot")]


def test_sums_of_figures_that_are_wrong_are_made_anew(session):
    run()
    before = sums()
    FigureSum.objects.filter(grain=2).delete()
    FigureSum.objects.filter(grain=0).update(prompt_tokens=1, detail="{}")

    lines = run().splitlines()

    assert lines[0].startswith("all  sum of figures.")
    assert sums() == before
    assert run("--check").startswith("0 counters")


def test_what_a_purge_took_is_no_difference(session, ada):
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    purge_archived(ada)
    before = figures(ada, period=Period.of_days(366, now=timezone.now())).tools
    assert run("--check").startswith("0 counters")
    run()
    assert figures(ada, period=Period.of_days(366, now=timezone.now())).tools == before
