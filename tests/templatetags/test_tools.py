"""Tool calls in words."""

import pytest

from sessions.models import Outcome
from sessions.templatetags.tools import arguments, event_words, outcome_words, tool_icon, tool_state
from tests.factories import make_events, make_message, make_session
from tests.web.markup import parse

pytestmark = pytest.mark.django_db


def called(output="ok", *, name="Bash", outcome=None, **args):
    session = make_session()
    make_message(session, role="assistant", tool_calls=[{"id": "1", "name": name, "arguments": args}])
    if output is not None:
        make_message(session, role="tool", tool_call_id="1", content=output, outcome=outcome)
    return session.tool_calls.with_outputs().get()


@pytest.mark.parametrize(
    ("output", "outcome", "words"),
    [
        ("a\nb\nc", None, "3 lines"),
        ("a", None, "1 line"),
        ("", None, "no output"),
        ("  \n", None, "no output"),
        ("E assert\nexit code 1", Outcome.FAILED, "exit 1"),
        ("Exited with status 127\nlong text", Outcome.FAILED, "exit 127"),
        ("boom", Outcome.FAILED, "failed"),
        ("User rejected this action", None, "refused by a person"),
        ("[cancelled]", None, "cut off"),
        (None, None, ""),
    ],
)
def test_how_a_call_ended(output, outcome, words):
    assert parse(outcome_words(called(output, outcome=outcome))).text == words


def test_an_edit_says_how_much_it_changed():
    call = called(name="Edit", file_path="a", old_string="a\nb", new_string="a\nc\nd")
    assert parse(outcome_words(call)).text == "+2 \N{MINUS SIGN}1"


@pytest.mark.parametrize(
    ("output", "outcome", "icon", "state"),
    [
        (None, None, "live", "running"),
        ("ok", None, "done", "done"),
        ("x", Outcome.FAILED, "failed", "failed"),
        ("x", Outcome.REJECTED, "aborted", "rejected"),
        ("x", Outcome.ABORTED, "aborted", "aborted"),
    ],
)
def test_each_outcome_has_its_icon_and_its_word(output, outcome, icon, state):
    call = called(output, outcome=outcome)
    assert (tool_icon(call), tool_state(call)) == (icon, state)


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ({"command": "ls", "n": 3}, [("command", "ls"), ("n", "3")]),
        ({"deep": {"a": [1]}}, [("deep", '{\n  "a": [\n    1\n  ]\n}')]),
        ('{"command": "ls"}', [("command", "ls")]),
        ("not json", [("", "not json")]),
        ([1, 2], [("", "[\n  1,\n  2\n]")]),
        (None, []),
    ],
)  # fmt: skip
def test_arguments_one_by_one(args, shown):
    assert [(argument.name, argument.text) for argument in arguments(args)] == shown


def test_an_event_says_what_it_carries():
    session = make_session()
    make_events(session, {"type": "footer", "prompt_tokens": 12, "rate": "", "context": "3%\n", "none": None})
    assert event_words(session.events.get(seq=2)) == "prompt_tokens 12 · context 3%"
