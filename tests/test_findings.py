"""findings.find: calls, results and turns that do not fit together, with where the evidence stands."""

import pytest

from sessions import findings, protocol, transcripts
from sessions.models import LOOPS_FROM, Session
from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db
TURN = {"type": "turn_start", "turn_id": "t"}
CALL = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "cargo test"}}
RESULT = {"type": "tool_call_result", "id": "c", "name": "Bash", "output": "ok"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}


def found(session):
    return findings.find(Session.objects.get(pk=session.pk))


def kinds(session):
    return [finding.kind.value for finding in found(session)]


def after(*events):
    session = make_session()
    make_events(session, *events)
    return session


def calls(*ids, name="Read"):
    return {"role": "assistant", "content": None, "tool_calls": [{"id": pk, "name": name, "input": {}} for pk in ids]}


@pytest.mark.parametrize(
    "events",
    [
        [],
        [TURN],
        [TURN, CALL],
        [TURN, CALL, RESULT],
        [TURN, CALL, RESULT, END],
        [TURN, CALL | {"is_sub_agent": True}, END],
        [TURN, CALL, {"type": "info"}, CALL | {"id": "d"}, RESULT | {"id": "d"}, RESULT, END],
    ],
)
def test_what_fits_together_is_no_finding(events):
    session = make_session()
    if events:
        make_events(session, *events)
    assert found(session) == []


def test_a_call_without_a_result_points_to_its_start_and_its_record():
    session = after(TURN, CALL, END)
    (finding,) = found(session)
    call = session.tool_calls.get()
    assert finding.kind == "call_without_result"
    assert finding.sentence == "Bash cargo test has no result: the turn ended first."
    assert (finding.call_id, finding.seq, finding.turn_id) == (call.pk, call.start_seq, "t")


def test_a_result_that_came_after_the_end_of_its_turn_is_a_result():
    assert kinds(after(TURN, CALL, END, RESULT)) == []


def test_a_call_of_an_earlier_turn_is_found_while_the_next_one_runs():
    session = after(TURN, CALL, {"type": "turn_start", "turn_id": "u"}, CALL | {"id": "d"})
    assert kinds(session) == ["call_without_result", "turn_without_end"]


def test_calls_in_messages_without_results_are_found_once_the_talk_went_on():
    session = make_session()
    make_message(session, **calls("a", "b"))
    make_message(session, role="tool", content="ok", tool_call_id="a")
    assert found(session) == []  # "b" may still be at work
    pk = make_message(session, role="user", content="and now?")
    (finding,) = found(session)
    assert finding.sentence == "Read has no result: the session went on without it."
    assert finding.message_id == pk - 2
    make_message(session, role="tool", content="late", tool_call_id="b")
    assert found(session) == []


def test_a_running_session_without_turns_is_not_accused_of_its_open_calls():
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id=None, by="test")
    make_message(session, **calls("a"))
    make_message(session, role="user", content="hurry")
    assert found(session) == []
    protocol.set_state(session.pk, "idle", turn_id=None, by="test")
    assert kinds(session) == ["call_without_result"]


def test_a_result_without_a_call_points_to_its_event():
    session = after(TURN, RESULT, END)
    (finding,) = found(session)
    assert (finding.kind, finding.seq) == ("result_without_call", session.events.get(type="tool_call_result").seq)
    assert finding.sentence == "A result came for c, but no call with this id waited for one."


def test_a_second_result_of_one_call_is_found():
    assert kinds(after(TURN, CALL, RESULT, RESULT, END)) == ["result_without_call"]


def test_a_result_in_a_message_without_a_call_points_to_the_message():
    session = make_session()
    pk = make_message(session, role="tool", content="ok", tool_call_id="nobody's")
    nameless = make_message(session, role="tool", content="ok")
    assert [(finding.kind, finding.message_id) for finding in found(session)] == [
        ("result_without_call", nameless),
        ("result_without_call", pk),
    ]


def test_results_before_their_calls_fit_when_the_calls_come():
    session = make_session()
    make_message(session, role="tool", content="ok", tool_call_id="a")
    assert kinds(session) == ["result_without_call"]
    make_message(session, **calls("a"))
    assert found(session) == []


def test_a_call_told_by_event_and_message_is_one_and_so_is_its_result():
    session = after(TURN, CALL)
    make_message(session, **calls("c"))
    make_events(session, RESULT)
    make_message(session, role="tool", content="ok", tool_call_id="c")
    make_events(session, END)
    assert found(session) == []


def test_a_turn_that_another_one_cut_off_has_no_end():
    session = after(TURN, {"type": "turn_start", "turn_id": "u"})
    (finding,) = found(session)
    assert (finding.kind, finding.turn_id) == ("turn_without_end", "t")
    assert finding.sentence == (
        "The turn t never said that it ended. The next turn began before this one ended."
    )  # fmt: skip


def test_a_turn_that_is_open_while_the_session_rests_has_no_end():
    session = after(TURN)
    protocol.set_state(session.pk, "idle", turn_id=None, by="test")
    assert kinds(session) == ["turn_without_end"]
    protocol.abandon(session.pk, by="test")
    assert kinds(session) == ["turn_without_end"]


def test_a_loop_stays_a_finding_when_its_turn_is_over():
    session = after(TURN, *(CALL | {"id": f"c{number}"} for number in range(LOOPS_FROM)))
    make_events(session, *(RESULT | {"id": f"c{number}"} for number in range(LOOPS_FROM)), END)
    (finding,) = found(session)
    assert finding.sentence == "Bash was called with the same arguments at least 5 times in a row."
    assert session.events.get(seq=finding.seq).payload["id"] == "c4"


def test_one_of_each_kind_in_the_order_in_which_they_are_shown():
    session = after(
        TURN, RESULT, *(CALL | {"id": f"c{n}"} for n in range(5)),
        {"type": "turn_start", "turn_id": "u"},
    )  # fmt: skip
    assert list(dict.fromkeys(kinds(session))) == findings.FindingKind.values


def test_the_findings_of_a_long_session_take_six_queries_and_are_bounded(django_assert_num_queries):
    session = make_session()
    turns = [[TURN | {"turn_id": f"t{n}"}, CALL | {"id": f"c{n}"}, RESULT | {"id": f"x{n}"}] for n in range(120)]
    make_events(session, *(event for turn in turns for event in turn))
    drafts = [transcripts.MessageDraft(role="tool", content="ok", tool_call_id=f"m{n}") for n in range(120)]
    transcripts.append(session.pk, drafts)
    protocol.set_state(session.pk, "idle", turn_id=None, by="test")
    row = Session.objects.get(pk=session.pk)
    # Events; the newest step; calls; results of calls; tool messages; turns.
    with django_assert_num_queries(6):
        all_found = findings.find(row)
    # Fifty calls, fifty results by events, fifty by messages, fifty turns.
    assert len(all_found) == 4 * findings.MOST


def test_a_session_without_anything_costs_no_more(django_assert_num_queries):
    row = Session.objects.get(pk=make_session().pk)
    with django_assert_num_queries(5):
        assert findings.find(row) == []
