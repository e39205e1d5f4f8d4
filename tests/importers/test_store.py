"""Records in the tables: the same totals, whichever way they came."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum

from sessions.importers import Opener, discover
from sessions.importers.claude_code import ClaudeCodeReader, Errands
from sessions.importers.feeding import Feed
from sessions.importers.records import ImportedMessage, ImportedSession
from sessions.importers.store import BATCH_SIZE, DryStore, Store
from sessions.models import Event, Message, Session, ToolCall
from tests.factories import make_user
from tests.importers.lines import SESSION, call, encode, make_answer, make_line, make_prompt, make_result, text
from tests.importers.reading import read
from tests.purging import purge_archived

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
EXPECTED: dict[str, Any] = (
    json.loads((SHARED / "EXPECTED.json").read_text()) if (SHARED / "EXPECTED.json").is_file() else {}
)
FILES = [name for name in EXPECTED if name.startswith("claude-code/")]
ALL_RECORD_TYPES = "claude-code/24-all-record-types/small.jsonl"

pytestmark = pytest.mark.django_db


def make_store(**facts: Any) -> Store:
    return Store(owner=facts.get("owner") or make_user(), source="claude-code")


def import_bytes(store: Store, data: bytes, **facts: Any) -> None:
    store.write(read(data, **facts)[0])
    store.flush()


def import_file(store: Store, path: Path) -> None:
    (transcript,) = discover(path)
    feed = Feed(transcript, opener=Opener())
    store.write(feed.pull())
    store.write(feed.end())
    store.flush()


def everything() -> dict[str, Any]:
    """What is stored, without row numbers and the server's times."""
    return {
        "sessions": sorted(Session.objects.values_list("key", "title", "model", "message_count", "prompt_tokens")),
        "messages": list(Message.objects.order_by("id").values_list("session__key", "client_id", "content")),
        "calls": list(ToolCall.objects.order_by("id").values_list("call_id", "outcome")),
        "events": Event.objects.count(),
    }


@pytest.mark.skipif(not FILES, reason="the recorded sessions are not beside this checkout")
@pytest.mark.parametrize("name", FILES)
def test_counters_equal_what_was_counted_over_the_file(name):
    expected = EXPECTED[name]
    import_file(make_store(), SHARED / name)
    own = Session.objects.all()
    if "agent_progress" in expected:
        own = own.exclude(key__contains="/agent-")

    sums = own.aggregate(
        **{
            field: Sum(field)
            for field in (
                "prompt_tokens", "completion_tokens", "cache_creation_tokens", "cache_read_tokens", "api_call_count",
                "tool_call_count", "tool_success_count", "tool_failed_count", "tool_rejected_count", "message_count",
            )
        }
    )  # fmt: skip
    tokens = expected["tokens_once_last"]
    assert sums["prompt_tokens"] == tokens["input_tokens"]
    assert sums["completion_tokens"] == tokens["output_tokens"]
    assert sums["cache_creation_tokens"] == tokens["cache_creation_input_tokens"]
    assert sums["cache_read_tokens"] == tokens["cache_read_input_tokens"]
    assert sums["tool_call_count"] == expected["tool_calls"]
    messages = Message.objects.filter(session__in=own)
    assert sums["message_count"] == messages.count()
    if name == ALL_RECORD_TYPES:
        return  # calls and results without ids, which nothing ties together
    assert sums["tool_failed_count"] + sums["tool_rejected_count"] == expected["tool_results_error"]
    answered = expected["tool_results"] - len(expected["results_without_call"])
    assert sums["tool_success_count"] + sums["tool_failed_count"] + sums["tool_rejected_count"] == answered
    open_calls = ToolCall.objects.filter(session__in=own).open().values_list("call_id", flat=True)
    assert set(open_calls) == set(expected["calls_without_result"])
    assert messages.filter(role="assistant").count() == expected["assistant_messages_distinct"]
    synthetic = expected["models"].get("<synthetic>", 0)
    assert sums["api_call_count"] == expected["assistant_messages_distinct"] - synthetic
    assert messages.filter(role="tool").count() == expected["tool_results"]
    models = {model for model in expected["models"] if model != "<synthetic>"}
    assert set(messages.exclude(model=None).values_list("model", flat=True)) == models
    tools = Counter(ToolCall.objects.filter(session__in=own).values_list("name", flat=True))
    assert tools == Counter(expected["tools"])
    assert not own.exclude(liveness="resting").exists()


@pytest.mark.skipif(not FILES, reason="the recorded sessions are not beside this checkout")
@pytest.mark.parametrize("name", [name for name in FILES if EXPECTED[name]["lines"] < 250])
def test_a_second_import_changes_nothing(name):
    owner = make_user()
    import_file(make_store(owner=owner), SHARED / name)
    before = everything()
    again = make_store(owner=owner)
    import_file(again, SHARED / name)

    assert everything() == before
    assert (again.written.sessions, again.written.messages, again.written.compactions) == (0, 0, 0)


HISTORY = encode(
    make_prompt("Count the lamps"),
    make_answer("m1", text("I look."), output=1),
    make_answer("m1", call("c1"), output=7),
    make_result("c1"),
    make_answer("m1", call("c2"), output=40),
    make_result("c2", "broken", is_error=True),
    make_line("system", subtype="compact_boundary", compactMetadata={"trigger": "manual", "preTokens": 50}, uuid="b1"),
    make_prompt("So far: lamps.", isCompactSummary=True),
    make_answer("m2", text("Nine lamps."), output=4),
)


@pytest.mark.parametrize("line_count", range(10))
def test_half_a_file_and_then_the_rest_is_the_whole(line_count):
    owner = make_user()
    half = b"".join(HISTORY.splitlines(keepends=True)[:line_count]) + b'{"type": "us'
    import_bytes(make_store(owner=owner), half)
    import_bytes(make_store(owner=owner), HISTORY)

    session = Session.objects.get()
    assert (session.prompt_tokens, session.completion_tokens, session.cache_read_tokens) == (20, 44, 200)
    assert (session.tool_call_count, session.tool_success_count, session.tool_failed_count) == (2, 1, 1)
    assert session.last_seq == session.events.count()
    assert session.title == "Count the lamps"
    words = [content for content in session.messages.order_by("id").values_list("content", flat=True) if content]
    assert words == ["Count the lamps", "I look.", "done", "broken", "So far: lamps.", "Nine lamps."]
    assert session.events.filter(type="server.compacted").count() == 1


def test_what_came_before_a_compaction_is_archived_and_kept():
    import_bytes(make_store(), HISTORY)
    session = Session.objects.get()
    archived = session.messages.archived().order_by("id")
    assert [row.content for row in archived] == ["Count the lamps", "I look.", "done", "broken"]
    assert [row.content for row in session.messages.unarchived().order_by("id")] == ["So far: lamps.", "Nine lamps."]
    event = session.events.get(type="server.compacted")
    assert event.payload == {"archived": 4, "trigger": "manual", "pre_tokens": 50, "by": "agent"}
    assert session.prompt_tokens == 20


PARENT = encode(
    make_prompt("Send a scout"),
    make_answer("m1", call("c1", "Agent", prompt="Look north", subagent_type="scout", description="North")),
    make_result("c1", "Snow.", toolUseResult={"agentId": "a1", "agentType": "scout"}),
    make_answer("m2", text("Snow.")),
)
CHILD = encode(
    make_prompt("Look north", isSidechain=True, agentId="a1"),
    make_answer("m3", text("Snow."), isSidechain=True, agentId="a1"),
)


@pytest.mark.parametrize("order", [(PARENT, CHILD), (CHILD, PARENT), (CHILD, PARENT, CHILD)])
@pytest.mark.parametrize("is_one_import", [True, False])
def test_children_before_or_after_their_parents_are_tied_to_them(order, is_one_import):
    owner, errands = make_user(), Errands()
    store = make_store(owner=owner)
    for data in order:
        if not is_one_import:
            store, errands = make_store(owner=owner), Errands()
        import_bytes(store, data, errands=errands)
    if not is_one_import:
        import_bytes(make_store(owner=owner), PARENT)

    parent, child = Session.objects.get(key=SESSION), Session.objects.get(key=f"{SESSION}/agent-a1")
    assert child.parent == parent
    assert child.parent_tool_call_id == "c1"
    assert (parent.title, parent.agent_name, parent.model) == ("Send a scout", "claude-code", "claude-test-1")
    assert Session.objects.count() == 2


def test_a_title_that_a_person_gave_stays():
    owner = make_user()
    import_bytes(make_store(owner=owner), HISTORY)
    Session.objects.get().edit(by=f"user:{owner.pk}", title="Mine")
    import_bytes(make_store(owner=owner), HISTORY + encode(make_line("ai-title", aiTitle="Lamps")))
    assert Session.objects.get().title == "Mine"


def test_a_title_that_a_purge_made_anew_is_nobodys():
    owner = make_user()
    import_bytes(make_store(owner=owner), HISTORY)
    session = Session.objects.get()
    Session.objects.filter(pk=session.pk).update(is_title_derived=True)
    first = session.messages.filter(role="user").earliest("pk")
    session.messages.filter(pk=first.pk).update(compacted_at=session.created_at)
    purge_archived(owner)
    assert session.events.filter(type="server.session_edited").exists()
    import_bytes(make_store(owner=owner), HISTORY + encode(make_line("ai-title", aiTitle="Lamps")))
    assert Session.objects.get().title == "Lamps"


def test_a_better_title_is_taken_over():
    owner = make_user()
    import_bytes(make_store(owner=owner), HISTORY)
    import_bytes(make_store(owner=owner), HISTORY + encode(make_line("ai-title", aiTitle="Lamps")))
    assert Session.objects.get().title == "Lamps"


def test_a_deleted_session_does_not_come_back():
    owner = make_user()
    import_bytes(make_store(owner=owner), HISTORY)
    Session.objects.get().remove(by=f"user:{owner.pk}")
    again = make_store(owner=owner)
    import_bytes(again, HISTORY)
    assert Session.objects.count() == 1
    assert again.written.messages == 0
    assert again.written.deleted_sessions == {SESSION}


def test_the_same_file_of_two_owners_is_two_sessions():
    import_bytes(make_store(), HISTORY)
    import_bytes(make_store(), HISTORY)
    assert Session.objects.filter(key=SESSION).count() == 2


def test_an_imported_session_is_flagged_and_dated_by_its_own_times():
    import_bytes(make_store(), HISTORY)
    session = Session.objects.get()
    times = session.messages.values_list("created_at", flat=True)
    assert session.is_imported
    assert (session.created_at, session.last_activity_at) == (min(times), max(times))


def test_a_refusal_is_recorded_as_one():
    refused = "The user doesn't want to proceed with this tool use."
    import_bytes(make_store(), encode(make_answer("m1", call("c1")), make_result("c1", refused, is_error=True)))
    assert ToolCall.objects.get().outcome == "rejected"


def test_broken_characters_lose_no_message():
    import_bytes(
        make_store(), encode(make_prompt("a\x00b\ud800", cwd="/x\x00y"), make_line("ai-title", aiTitle="t\x00"))
    )
    session = Session.objects.get()
    assert session.messages.get().content == "a\ufffdb\ufffd"
    assert (session.project_root, session.title) == ("/x\ufffdy", "t\ufffd")


def test_long_sessions_are_written_in_batches(django_assert_max_num_queries):
    lines = [make_prompt(f"{number}") for number in range(BATCH_SIZE * 2 + 1)]
    with django_assert_max_num_queries(60):
        import_bytes(make_store(), encode(*lines))
    session = Session.objects.get()
    assert session.message_count == len(lines)
    assert session.events.filter(type="server.messages_added").count() == 3


def test_a_dry_run_counts_the_same_and_writes_nothing():
    owner = make_user()
    dry, wet = DryStore(owner=owner, source="claude-code"), make_store(owner=owner)
    for store in (dry, wet):
        import_bytes(store, HISTORY)
        assert Session.objects.count() == (store is wet)
    assert (dry.written.sessions, dry.written.messages) == (wet.written.sessions, wet.written.messages) == (1, 6)
    dry_again = DryStore(owner=owner, source="claude-code")
    before = everything()
    import_bytes(dry_again, HISTORY)
    assert (dry_again.written.sessions, dry_again.written.messages, dry_again.written.known_messages) == (0, 0, 6)
    assert everything() == before


def test_records_without_any_time_are_dated_by_their_session():
    store = make_store()
    store.write([ImportedSession(key="k", agent_name="a")])
    store.write([ImportedMessage(session_key="k", client_id="1", role="user", kind="prompt", content="x")])
    store.flush()
    session = Session.objects.get()
    assert session.messages.get().created_at == session.created_at


def test_the_reader_stays_pure():
    """A reader that is told nothing of a store yields the same again and again."""
    first, second = (list(ClaudeCodeReader(name="f").read(HISTORY.splitlines())) for _ in range(2))
    assert first == second


def test_a_content_that_is_too_large_is_cut_and_holds_up_no_other(settings):
    settings.KODA_MAX_CONTENT = 100
    lines = encode(
        make_prompt("Count"),
        make_prompt("é" * 101),
        make_answer("m1", {"type": "thinking", "thinking": "x" * 101}),
        make_answer("m1", text("y" * 100)),
        make_prompt("Thanks"),
    )
    owner = make_user()
    import_bytes(make_store(owner=owner), lines)
    import_bytes(again := make_store(owner=owner), lines)

    said = list(Message.objects.order_by("id").values_list("content", "thinking"))
    note = "\n[The import left out what follows: {} bytes are too many.]"
    assert said == [
        ("Count", None),
        ("é" * ((100 - len(note.format(202))) // 2) + note.format(202), None),
        ("y" * 100, "x" * (100 - len(note.format(101))) + note.format(101)),
        ("Thanks", None),
    ]
    assert again.written.messages == 0
