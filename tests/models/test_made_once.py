"""What agents send all the time, and what open pages are told of it, builds no query that was built before."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db.models.sql import compiler

from sessions import checkpoints, commands, protocol, transcripts
from sessions.checkpoints import State
from sessions.live.feeds import LogFeed, Place, ProgramFeed, TranscriptFeed
from sessions.models import Session, TokenCounts
from tests.factories import make_events, make_session
from tests.message_drafts import answering, asking, user

pytestmark = pytest.mark.django_db
COMPILERS = (
    compiler.SQLCompiler, compiler.SQLInsertCompiler, compiler.SQLUpdateCompiler, compiler.SQLDeleteCompiler,
)  # fmt: skip


@contextmanager
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note the SQL of each query that Django builds."""
    found: list[str] = []

    def noting(build):
        def build_and_note(self, *arguments, **options):
            made = build(self, *arguments, **options)
            found.append(str(made))
            return made

        return build_and_note

    with monkeypatch.context() as patch:
        for kind in COMPILERS:
            patch.setattr(kind, "as_sql", noting(kind.as_sql))
        yield found


def a_turn(session: Session, turn_id: str) -> None:
    """Tell of a turn with a call, an approval, a question and a footer, each in a request of its own."""
    call, other = f"{turn_id}-1", f"{turn_id}-2"
    for number, event in enumerate(
        (
            {"type": "turn_start"},
            {"type": "thinking_delta", "text": "hm"},
            {"type": "tool_call_start", "id": call, "name": "Bash", "args": {"command": "ls"}, "expect_within": 60},
            {"type": "approval_request", "id": call, "tool_name": "Bash", "detail": "ls", "preview": None},
            {"type": "tool_call_result", "id": call, "name": "Bash", "output": "fine"},
            {"type": "ask_user_request", "id": "q", "question": "Which?", "options": ["a", "b"]},
            {"type": "text_delta", "text": "So "},
            {"type": "tool_call_start", "id": other, "name": "Read", "args": {"path": "a"}},
            {"type": "context_usage", "used": 5, "max": 10},
            {"type": "footer", "prompt_tokens": 3},
            {"type": "turn_end", "reason": {"kind": "complete"}},
        )
    ):
        make_events(session, {**event, "turn_id": turn_id, "event_id": f"{turn_id}/{number}"})


def a_round(session: Session, name: str) -> None:
    """Append what a person, a model and a tool say, each in a request of its own."""
    usage = TokenCounts(prompt_tokens=2, completion_tokens=1)
    for number, draft in enumerate((user(), asking(name, usage=usage), answering(name))):
        transcripts.append(session.pk, [draft._replace(client_id=f"{name}/{number}")])


def a_step(session: Session, count: int) -> None:
    """Keep a history that has grown."""
    messages = [{"role": "user", "content": f"m{number}"} for number in range(count)]
    checkpoints.add(session.pk, State.of({"messages": messages}), by="agent")


@pytest.mark.parametrize(
    "tell",
    [
        pytest.param(lambda session, number: a_turn(session, f"t{number}"), id="a turn"),
        pytest.param(lambda session, _number: commands.take(session.pk), id="asking for commands"),
        pytest.param(lambda session, number: a_round(session, f"r{number}"), id="messages"),
        pytest.param(lambda session, number: a_step(session, number + 3), id="checkpoints"),
        pytest.param(
            lambda session, number: protocol.heartbeat(session.pk, interval_seconds=15, progress=number, activity="x"),
            id="heartbeats",
        ),
        pytest.param(
            lambda session, number: transcripts.append(session.pk, [user(f"{number}/{at}") for at in range(20)]),
            id="a batch",
        ),
    ],
)
def test_what_an_agent_sends_again_builds_no_query(tell, monkeypatch):
    session = make_session()
    tell(session, 1)
    tell(session, 2)
    with built(monkeypatch) as found:
        tell(session, 3)
    assert found == []


@pytest.mark.parametrize("feed", [TranscriptFeed(can_change=True), LogFeed(can_change=False), ProgramFeed()], ids=repr)
def test_what_an_open_page_is_told_again_builds_no_query(feed, monkeypatch):
    session = make_session()

    def told(number: int) -> None:
        for tell in (a_turn, a_round):
            place = Place(Session.objects.at_present(session.pk).last_seq)
            tell(session, f"{number}")
            assert feed.read(session.pk, place).texts

    told(1)
    told(2)
    with built(monkeypatch) as found:
        told(3)
    assert found == []
