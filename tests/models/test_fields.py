"""What agents wrote comes back as they wrote it, on both databases; what no database takes becomes U+FFFD."""

import json

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions import protocol, transcripts
from sessions.exceptions import InvalidRequest, TooLarge
from sessions.models import Checkpoint, EventDraft, Message, Metadata
from sessions.models.exact_json import dump_exact
from sessions.models.fields import clean_json, clean_text, is_deeper, require_content, require_name
from tests.factories import make_message, make_session

pytestmark = pytest.mark.django_db

BROKEN = [("a\x00b", "a�b"), ("a\ud800b", "a�b"), ("\udfff", "�"), ("\ud83d\ude00", "��"), ("\x00\x00", "��")]
INTACT = ["", " ", "é字😀", "\x01\x1f\x7f", "\\u0000", "\\ud800", "￾", "�", "\r\n\t", "\u202eright to left"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def stored(message_id: int) -> Message:
    return Message.objects.get(pk=message_id)


@pytest.mark.parametrize(("sent", "kept"), BROKEN)
def test_broken_characters_in_a_message_are_replaced_and_nothing_else(sent, kept):
    call = {"id": "c", "function_name": sent, "arguments": {sent: [sent, {"deep": sent}]}}
    row = stored(make_message(make_session(), role="assistant", content=sent, thinking=sent, tool_calls=[call]))
    assert (row.content, row.thinking) == (kept, kept)
    assert row.tool_calls == [{"id": "c", "function_name": kept, "arguments": {kept: [kept, {"deep": kept}]}}]


@pytest.mark.parametrize(("sent", "kept"), BROKEN)
def test_broken_characters_in_events_are_replaced(sent, kept):
    session = make_session()
    payload = {sent: {"inner": [sent, {sent: 1}]}, "message": sent}
    protocol.ingest(session.pk, [EventDraft(type="info", payload=payload)])
    assert session.events.get(type="info").payload == {kept: {"inner": [kept, {kept: 1}]}, "message": kept}


@pytest.mark.parametrize(("sent", "kept"), BROKEN)
def test_broken_characters_reach_no_other_column_either(sent, kept):
    session = make_session()
    drafts = [
        EventDraft(type="turn_start", turn_id="t"),
        EventDraft(type="tool_call_start", turn_id="t", payload={"id": "c", "name": "Bash", "args": {"command": sent}}),
        EventDraft(
            type="approval_request",
            turn_id="t",
            payload={"id": "a", "tool_name": sent, "detail": sent, "preview": {"kind": sent}},
        ),
        EventDraft(type="status_update", payload={"model": sent, "provider": sent}),
        EventDraft(type="ask_user_request", payload={"id": "q", "question": sent, "options": [sent]}),
        EventDraft(type="sub_agent_start", payload={"agent_name": sent}),
        EventDraft(type="turn_end", turn_id="t", payload={"reason": {"kind": "error", "message": sent}}),
    ]
    protocol.ingest(session.pk, drafts)
    session.refresh_from_db()
    assert (session.model, session.provider) == (kept, kept)
    assert session.tool_calls.get().args == {"command": kept}
    approval = session.requests.get(kind="approval")
    assert (approval.tool_name, approval.detail, approval.preview) == (kept, kept, {"kind": kept})
    assert session.requests.get(kind="input").options == [kept]
    assert session.turns.get().reason_message == kept


@pytest.mark.parametrize(("sent", "kept"), BROKEN)
def test_broken_characters_in_metadata_and_checkpoints_are_replaced(sent, kept):
    session = make_session()
    Metadata.objects.put(session, "todo", sent)
    assert Metadata.objects.read(session, "todo") == kept
    now = session.created_at
    row = Checkpoint.objects.create(
        session=session, seq=1, rest=dump_exact({sent: [sent]}), created_at=now, updated_at=now
    )
    row.refresh_from_db()
    assert json.loads(row.rest) == {kept: [kept]}


@pytest.mark.parametrize(("sent", "kept"), BROKEN)
def test_the_title_taken_from_a_broken_prompt_is_clean(sent, kept):
    session = make_session()
    make_message(session, content=sent)
    session.refresh_from_db()
    assert session.title == kept


@pytest.mark.parametrize("text", INTACT)
def test_every_other_character_comes_back_as_it_was(text):
    row = stored(make_message(make_session(), content=text, tool_calls=[{text: text}]))
    assert (row.content, row.tool_calls) == (text, [{text: text}])


@pytest.mark.parametrize("calls", [None, [], [{}], [None], [[]], [{"b": 1, "a": 2, "ab": {"z": 0, "y": 1}}]])
def test_absent_and_empty_differ_and_keys_keep_their_order(calls):
    row = stored(make_message(make_session(), role="assistant", tool_calls=calls))
    assert json.dumps(row.tool_calls) == json.dumps(calls)


@pytest.mark.parametrize(
    "number", [0, -1, 2**31, 2**53 + 1, 2**63, 10**40, -(10**40), 0.1, 1.0, 1e300, -0.0, 1e-7, 123456789.123456789]
)
def test_numbers_come_back_as_they_came(number):
    session = make_session()
    protocol.ingest(session.pk, [EventDraft(type="info", payload={"n": number})])
    back = session.events.get(type="info").payload["n"]
    assert (repr(back), type(back)) == (repr(number), type(number))


def test_null_and_empty_content_differ():
    session = make_session()
    rows = [stored(make_message(session, content=content)).content for content in (None, "", " ")]
    assert rows == [None, "", " "]


def test_null_is_stored_as_null_and_not_as_a_word():
    session = make_session()
    make_message(session, role="assistant", content=None, tool_calls=None)
    assert Message.objects.filter(content__isnull=True, tool_calls__isnull=True).count() == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.dictionaries(st.text(), json_values, max_size=5))
def test_any_json_comes_back_clean_and_otherwise_equal(db, value):
    session = make_session()
    protocol.ingest(session.pk, [EventDraft(type="info", payload=value)])
    back = session.events.get(type="info").payload
    assert json.dumps(back) == json.dumps(clean_json(value))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters() | st.sampled_from("\x00\ud800\udbff\udc00\udfff")))
def test_any_text_comes_back_clean_and_otherwise_equal(db, text):
    row = stored(make_message(make_session(), content=text))
    assert row.content == clean_text(text)
    assert len(row.content) == len(text)


def test_text_is_measured_alike_by_both_databases():
    session = make_session()
    make_message(session, content="é😀", tool_calls=["字"])
    make_message(session, content=None, tool_calls=["x" * 100])
    rows = Message.objects.of(session.pk)
    assert rows.koda_size() == 2 + len('["字"]')
    assert rows.true_size() == 6 + len('["字"]'.encode()) + 104
    assert connection.vendor in {"sqlite", "postgresql"}


@pytest.mark.parametrize("name", ["\x00", "a\ud800", "é" * 1001])
def test_in_names_broken_characters_and_excess_are_refused(name):
    with pytest.raises(InvalidRequest) as refused:
        require_name("some.field", name)
    assert refused.value.errors[0].field == "some.field"


@pytest.mark.parametrize("name", ["", "x" * 2000, "é" * 1000, "a/b:c.d e", "�"])
def test_any_other_name_is_kept(name):
    assert require_name("field", name) == name


@pytest.mark.parametrize(
    ("text", "is_over"), [("x" * 40, False), ("é" * 20, False), ("é" * 20 + "x", True), ("x" * 41, True)]
)
def test_content_is_limited_in_bytes(settings, text, is_over):
    settings.KODA_MAX_CONTENT = 40
    if not is_over:
        require_content("content", text)
        return
    with pytest.raises(TooLarge, match="40"):
        require_content("content", text)


def test_a_message_over_the_limit_is_refused_and_none_of_its_batch_is_stored(settings):
    settings.KODA_MAX_CONTENT = 40
    session = make_session()
    drafts = [transcripts.MessageDraft(role="user", content=text) for text in ("fits", "x" * 41)]
    with pytest.raises(TooLarge, match=r"messages\.1\.content"):
        transcripts.append(session.pk, drafts)
    assert not session.messages.exists()


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": 1, "b": value}])
def test_levels_are_counted_down_to_the_last_value(wrap):
    value = 1
    for _ in range(5):
        value = wrap(value)
    assert is_deeper(value, 4)
    assert not is_deeper(value, 5)
    assert not is_deeper("[[[[[[", 1)
