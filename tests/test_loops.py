"""Going round in circles: the same call or the same failing result in a row, told once, with its evidence."""

import itertools

import pytest

from sessions import protocol, transcripts
from sessions.models import LOOPS_FROM, Session
from sessions.models.looping import digest_of
from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db
TURN = {"type": "turn_start", "turn_id": "t"}
_ids = (f"c{number}" for number in itertools.count())


def start(args=None, *, name="Bash", call_id=None, **more):
    args = {"command": "ls"} if args is None else args
    return {"type": "tool_call_start", "id": call_id or next(_ids), "name": name, "args": args, **more}


def call(output="ok", **more):
    """A call and its result."""
    begun = start(**{name: value for name, value in more.items() if name in {"args", "name"}})
    said = {name: value for name, value in more.items() if name not in {"args", "name"}}
    return [begun, {"type": "tool_call_result", "id": begun["id"], "output": output, **said}]


def asks(*calls):
    """The message in which an assistant asks for calls."""
    return transcripts.MessageDraft(role="assistant", tool_calls=list(calls))


def loops_of(session):
    return [event.payload for event in session.events.filter(type="server.loop_noticed").order_by("seq")]


def loop_of(session):
    return str(Session.objects.get(pk=session.pk).loop).replace("\N{MULTIPLICATION SIGN}", "x")


def test_the_same_call_five_times_in_a_row_is_a_loop_and_told_once():
    session = make_session()
    make_events(session, TURN)
    for _ in range(LOOPS_FROM - 1):
        make_events(session, *call())
    assert loop_of(session) == "None"
    assert loops_of(session) == []
    make_events(session, *call())
    assert loop_of(session) == "same call x5"
    for _ in range(4):
        make_events(session, *call())
    assert loop_of(session) == "same call x9"
    (told,) = loops_of(session)
    first = session.events.filter(type="tool_call_start").order_by("seq").first()
    fifth = session.events.filter(type="tool_call_start").order_by("seq")[4]
    assert told == {
        "kind": "call", "count": 5, "tool": "Bash", "id": fifth.payload["id"],
        "first_seq": first.seq, "last_seq": fifth.seq,
    }  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        start({"command": "pwd"}),
        start(name="Read"),
        start({}),
        start(None, name="Bash", is_sub_agent=True) | {"args": 1},
    ],
)
def test_another_call_in_between_begins_to_count_anew(other):
    session = make_session()
    make_events(session, TURN, *(start() for _ in range(4)), other, *(start() for _ in range(4)))
    assert loop_of(session) == "None"


def test_the_order_of_keys_and_the_text_of_json_are_no_difference():
    assert digest_of("Bash", {"a": 1, "b": [2]}) == digest_of("Bash", '{"b": [2], "a": 1}')
    assert digest_of("Bash", {"a": 1}) != digest_of("Bash", {"a": 2})
    assert digest_of("Bash", {"a": 1}) != digest_of("Read", {"a": 1})
    assert digest_of("Bash", "[" * 100_000) != digest_of("Bash", "not json")


def test_arguments_that_nobody_told_are_never_the_same():
    session = make_session()
    make_events(session, TURN, *({"type": "tool_call_start", "id": next(_ids), "name": "Bash"} for _ in range(9)))
    assert loop_of(session) == "None"


def test_calls_that_only_messages_tell_of_count_too():
    session = make_session()
    for _ in range(LOOPS_FROM):
        call_id = next(_ids)
        transcripts.append(session.pk, [asks({"id": call_id, "function": {"name": "Bash", "arguments": '{"c": 1}'}})])
        make_message(session, role="tool", content="ok", tool_call_id=call_id)
    assert loop_of(session) == "same call x5"
    (told,) = loops_of(session)
    assert session.events.get(seq=told["first_seq"]).type == "server.messages_added"
    assert session.events.get(seq=told["last_seq"]).type == "server.messages_added"


@pytest.mark.parametrize("is_message_first", [True, False])
def test_a_call_of_which_event_and_message_tell_counts_once(is_message_first):
    session = make_session()
    make_events(session, TURN)
    for _ in range(LOOPS_FROM - 1):
        begun = start()
        message = asks({"id": begun["id"], "name": "Bash", "arguments": {"command": "ls"}})
        ways = [lambda begun=begun: make_events(session, begun), lambda m=message: transcripts.append(session.pk, [m])]
        for way in reversed(ways) if is_message_first else ways:
            way()
        make_events(session, {"type": "tool_call_result", "id": begun["id"], "output": "no", "is_error": True})
        make_message(session, role="tool", content="no", tool_call_id=begun["id"])
    assert loops_of(session) == []
    row = Session.objects.get(pk=session.pk)
    assert (row.same_call_count, row.same_failure_count) == (4, 4)


def test_the_same_failing_result_of_different_calls_is_a_loop():
    session = make_session()
    make_events(session, TURN)
    for number in range(LOOPS_FROM):
        make_events(session, *call("permission denied", args={"command": f"cat {number}"}, is_error=True))
    assert loop_of(session) == "same failing result x5"
    (told,) = loops_of(session)
    assert (told["kind"], told["count"], told["tool"]) == ("result", 5, "Bash")


def test_the_same_good_result_is_no_loop_and_ends_a_row_of_failures():
    session = make_session()
    make_events(session, TURN)
    for number in range(9):
        make_events(session, *call("done", args={"command": f"{number}"}))
    for number in range(9):
        make_events(session, *call("no" if number % 4 else "yes", args={"n": number}, is_error=bool(number % 4)))
    assert loops_of(session) == []


@pytest.mark.parametrize(
    "act",
    [
        lambda session: make_message(session, role="user", content="again, please"),
        lambda session: make_events(session, {"type": "turn_start", "turn_id": "u"}),
        lambda session: make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}),
        lambda session: protocol.set_state(session.pk, "running", turn_id=None, by="test"),
        lambda session: protocol.abandon(session.pk, by="test"),
    ],
)
def test_a_person_or_another_turn_begins_to_count_anew(act):
    session = make_session()
    make_events(session, TURN, *(start() for _ in range(LOOPS_FROM)))
    assert loop_of(session) == "same call x5"
    act(session)
    assert loop_of(session) == "None"
    assert len(loops_of(session)) == 1


def test_a_loop_that_begins_and_ends_in_one_batch_is_told():
    session = make_session()
    end = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}
    make_events(session, TURN, *(start() for _ in range(7)), end)
    assert loop_of(session) == "None"
    assert len(loops_of(session)) == 1


def test_a_batch_that_came_before_does_not_count_again():
    session = make_session()
    make_events(session, TURN)
    batch = [start() | {"event_id": f"e{number}"} for number in range(4)]
    for _ in range(3):
        make_events(session, *batch)
    assert loops_of(session) == []
