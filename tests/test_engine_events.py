"""Engine events before they have an effect: which are acceptable, and how runs of deltas become one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.engine_events import JOINED_TYPES, REQUIRED_TEXT, end_of, join_deltas, require_valid
from sessions.exceptions import InvalidRequest
from sessions.models import Event, EventDraft

IS_MEANT = {
    "turn_id": "t",
    "payload": {"id": "i", "name": "Bash", "text": "x", "reason": {"kind": "complete"}},
}


def draft(type_: str, **facts) -> EventDraft:
    return EventDraft(type=type_, **facts)


def errors_of(*drafts: EventDraft) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        require_valid(drafts)
    return [error.field for error in refused.value.errors]


def delta(
    text: str, *, event_id: str | None = None, turn_id: str | None = "t", type_: str = "text_delta"
) -> EventDraft:
    return draft(type_, payload={"text": text}, event_id=event_id, turn_id=turn_id)


@pytest.mark.parametrize("type_", REQUIRED_TEXT)
def test_an_event_with_all_that_it_means_is_accepted(type_):
    require_valid([draft(type_, **IS_MEANT)])


@pytest.mark.parametrize(
    ("type_", "field"),
    [(name, field) for name, fields in REQUIRED_TEXT.items() for field in fields if field != "turn_id"],
)
@pytest.mark.parametrize("value", ["absent", None, 3, [], {}, True])
def test_without_a_field_that_it_lives_by_an_event_is_refused(type_, field, value):
    payload = {**IS_MEANT["payload"], field: value}
    if value == "absent":
        del payload[field]
    assert errors_of(draft(type_, turn_id="t", payload=payload)) == [f"events.0.{field}"]


@pytest.mark.parametrize("type_", ["turn_start", "turn_end"])
@pytest.mark.parametrize("turn_id", [None, ""])
def test_a_turn_has_an_id(type_, turn_id):
    assert errors_of(draft(type_, turn_id=turn_id, payload=IS_MEANT["payload"])) == ["events.0.turn_id"]


@pytest.mark.parametrize("type_", ["tool_call_start", "tool_call_result", "approval_request", "ask_user_request"])
def test_an_empty_id_is_no_id(type_):
    assert errors_of(draft(type_, payload={**IS_MEANT["payload"], "id": ""})) == ["events.0.id"]


@pytest.mark.parametrize("type_", sorted(JOINED_TYPES))
def test_an_empty_delta_is_a_delta(type_):
    require_valid([draft(type_, payload={"text": ""})])


@pytest.mark.parametrize("type_", ["", "server.", "server.session_created", "a\x00b", "\ud800", "x" * 101])
def test_a_type_that_cannot_be_is_refused(type_):
    assert errors_of(draft(type_)) == ["events.0.type"]


@pytest.mark.parametrize("type_", ["serverless", "Server.x", "child_task_update", "x" * 100, "é"])
def test_any_other_type_is_accepted(type_):
    require_valid([draft(type_)])


@pytest.mark.parametrize("field", ["event_id", "turn_id"])
@pytest.mark.parametrize("value", ["a\x00", "\udfff", "x" * 2001])
def test_ids_that_cannot_be_are_refused(field, value):
    assert errors_of(draft("info", **{field: value})) == [f"events.0.{field}"]


@pytest.mark.parametrize("field", ["id", "name"])
def test_names_inside_are_held_to_the_same(field):
    assert errors_of(draft("tool_call_start", payload={"id": "i", "name": "n", field: "a\x00"})) == [
        f"events.0.{field}"
    ]


@pytest.mark.parametrize(
    "reason",
    [None, "complete", {}, {"kind": None}, {"kind": "abandoned"}, {"kind": "Complete"}, {"kind": ["error"]}, []],
)
def test_a_turn_ends_for_one_of_three_reasons(reason):
    assert errors_of(draft("turn_end", turn_id="t", payload={"reason": reason})) == ["events.0.reason.kind"]


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ({"kind": "complete"}, ("complete", None)),
        ({"kind": "cancelled"}, ("cancelled", None)),
        ({"kind": "error", "message": "LLM inference failed"}, ("error", "LLM inference failed")),
        ({"kind": "error", "message": ["odd"]}, ("error", None)),
    ],
)
def test_the_end_is_read_from_the_reason(reason, end):
    assert end_of(draft("turn_end", payload={"reason": reason})) == end


def test_every_bad_item_of_a_batch_is_named():
    good = draft("info")
    assert errors_of(draft(""), good, draft("turn_start"), good, draft("server.x")) == [
        "events.0.type", "events.2.turn_id", "events.4.type",
    ]  # fmt: skip


def test_a_run_of_deltas_is_one_event_that_remembers_its_parts():
    joined = join_deltas([delta("Hel", event_id="1"), delta("lo", event_id="2"), delta("", event_id="3")])
    assert joined == [
        draft(
            "text_delta",
            turn_id="t",
            payload={"text": "Hello"},
            event_id="1",
            aliases=("2", "3"),
            part_lengths=[3, 2, 0],
        )
    ]


@pytest.mark.parametrize(
    "other",
    [
        delta("b", type_="thinking_delta"),
        delta("b", turn_id="another"),
        delta("b", turn_id=None),
        draft("text_delta", payload={"text": "b", "index": 1}, turn_id="t"),
        draft("text_done", turn_id="t"),
    ],
)
def test_a_run_ends_at_anything_else(other):
    assert join_deltas([delta("a"), other, delta("c")]) == [delta("a"), other, delta("c")]


def test_a_single_delta_stays_as_it_was():
    assert join_deltas([delta("a", event_id="1")]) == [delta("a", event_id="1")]


@pytest.mark.parametrize(
    ("ids", "event_id", "aliases"),
    [
        ((None, "2", "3"), "2", ("3",)),
        (("1", None, "3"), "1", ("3",)),
        ((None, None, "3"), "3", ()),
        ((None, None, None), None, ()),
    ],
)
def test_no_id_is_lost_when_some_have_none(ids, event_id, aliases):
    (joined,) = join_deltas([delta("x", event_id=one) for one in ids])
    assert (joined.event_id, joined.aliases) == (event_id, aliases)


def test_joining_leaves_what_it_was_given_alone():
    first = delta("a", event_id="1")
    join_deltas([first, delta("b", event_id="2")])
    assert first == delta("a", event_id="1")


events = st.builds(
    delta,
    st.text(max_size=4),
    event_id=st.none() | st.uuids().map(str),
    turn_id=st.sampled_from(["t", "u"]),
    type_=st.sampled_from(["text_delta", "thinking_delta"]),
) | st.just(draft("info"))


@given(st.lists(events, max_size=25))
def test_nothing_is_lost_or_reordered_by_joining(drafts):
    joined = join_deltas(drafts)
    parts = [
        (one.type, one.turn_id, part)
        for one in joined
        for part in Event(payload=one.payload, part_lengths=one.part_lengths).parts()
    ]
    assert parts == [(one.type, one.turn_id, one.payload.get("text", "")) for one in drafts]
    ids = [name for one in joined for name in filter(None, (one.event_id, *one.aliases))]
    assert ids == [one.event_id for one in drafts if one.event_id]
    kinds = [(one.type, one.turn_id) if one.type in JOINED_TYPES else object() for one in joined]
    assert not [pair for pair in pairwise(kinds) if pair[0] == pair[1]]
