"""Checkpoints: keep the state of a session at a step, and let the common records say what the newest one says.

The source of what they mean is contracts/stakpak.md 1 and 2. A step is one transaction: the checkpoint, the messages
that are new in it, tokens, tool calls, and what the session is taken to do since.
"""

import uuid as uuids
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from sessions import liveness, pool, presence, redaction, transcript_of_checkpoint
from sessions.exceptions import InvalidRequest
from sessions.likeness import Stem
from sessions.models import Checkpoint, EventDraft, Session, ToolCall
from sessions.models.exact_json import array_of, dump_exact, load_exact
from sessions.models.writing import insert
from sessions.projection import ending_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

AGENT = "stakpak"
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class State:
    """A state that can be kept: its messages as JSON texts, and the JSON of all the rest with `[]` in their place."""

    messages: tuple[str, ...] = ()
    rest: str = "{}"

    def value(self) -> Any:
        """Return what it was made of, for `dump_exact`."""
        state = load_exact(self.rest)
        if "messages" in state:
            state["messages"] = array_of(self.messages)
        return state

    @classmethod
    def of(cls, value: Any) -> "State":
        """Return the state that a value of `load_exact` is. Raises `InvalidRequest`.

        A message is an object; one without a role is kept as it came.
        """
        if not isinstance(value, dict):
            raise InvalidRequest.field("state", "must be an object")
        value = redaction.clean(value)
        messages = value.get("messages", [])
        if not isinstance(messages, list):
            raise InvalidRequest.field("state.messages", "must be an array")
        for index, message in enumerate(messages):
            if not isinstance(message, dict):
                raise InvalidRequest.field(f"state.messages.{index}", "must be an object")
        rest = {name: [] if name == "messages" else part for name, part in value.items()}
        return cls(tuple(dump_exact(message) for message in messages), dump_exact(rest))


def read(checkpoint: Checkpoint) -> Any:
    """Return the state of a checkpoint exactly as it was sent, for `dump_exact`; one query."""
    return State(tuple(pool.read(checkpoint)), checkpoint.rest).value()


def begin(
    *,
    owner: "User",
    source: str,
    state: State,
    by: str,
    agent_name: str = AGENT,
    is_copy: bool = False,
    now: datetime | None = None,
    **facts: Any,
) -> Checkpoint:
    """Start a session with its first checkpoint, both at the same moment; `facts` are those of a session's start.

    `is_copy`: what the history tells was done in another session.

    Raises `InvalidRequest` or `TooLarge`; then nothing is made.
    """
    now = now or timezone.now()
    with transaction.atomic():
        started = Session.objects.start(owner=owner, source=source, agent_name=agent_name, now=now, **facts)
        made = add(started.session.pk, state, by=by, is_copy=is_copy, now=now)
        if is_copy:
            ToolCall.objects.count_as_copies(started.session)
        return made


def add(
    session_id: int,
    state: State,
    *,
    by: str,
    parent: uuids.UUID | None = None,
    is_copy: bool = False,
    now: datetime | None = None,
    **origin: Any,
) -> Checkpoint:
    """Keep one more checkpoint of a session; it is the active one from now on.

    `parent` is kept as given; none is none. `origin` is for what another store made: uuid, at (when), unread (a state
    that nobody can read). Raises `NotFound`, `TooLarge`, or `InvalidRequest` for a parent that is no checkpoint of
    this session.
    """
    now = now or timezone.now()
    at: datetime | None = origin.pop("at", None)
    origin = {name: redaction.clean(value) if name == "unread" else value for name, value in origin.items()}
    texts, stem = state.messages, Stem(state.messages)
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        given = _parent(session, parent)
        newest = Checkpoint.objects.active_of(session)
        placed = pool.place(session, newest, texts, stem)
        created_at = _after(newest, at or now)
        checkpoint = Checkpoint(
            session=session, seq=newest.seq + 1 if newest else 1, parent=given,
            spans=placed.spans, variants=[variant.as_row() for variant in placed.variants],
            added_count=placed.added_count, message_count=len(texts), stem=stem.of(max(0, len(texts) - 1)),
            rest=state.rest, created_at=created_at, updated_at=created_at, **origin,
        )  # fmt: skip
        _continue(session, checkpoint, newest, is_grown=placed.is_grown, given=given)
        insert([checkpoint])
        transcript_of_checkpoint.write(checkpoint, texts, placed, newest=newest, at=at, is_copy=is_copy, now=now)
        session = Session.objects.locked(session_id)
        session.active_checkpoint = checkpoint
        closed = [] if is_copy else presence.infer(session, ending_of(texts), now=now)
        payload = {
            "checkpoint_id": str(checkpoint.uuid), "message_count": len(texts), "kept_count": checkpoint.kept_count,
            "branch": checkpoint.branch, "tool_call_ids": closed, "by": by,
        }  # fmt: skip
        session.hear(now, is_progress=True, event_count=0 if session.is_imported else 1)
        session.note_progress_at(session.last_seq + 1)
        event = EventDraft(type="server.checkpoint_added", payload=payload, at=at)
        session.record(
            [event, *liveness.settle(session, now)],
            now=now,
            activity_at=session.last_activity_at if session.is_imported and session.has_own_times else now,
        )
    return checkpoint


def _parent(session: Session, uuid: uuids.UUID | None) -> Checkpoint | None:
    """Return the parent that was named. Raises `InvalidRequest`; the id is not repeated: its digits may mislead."""
    if uuid is None:
        return None
    parent = Checkpoint.objects.filter(session=session, uuid=uuid).first()
    if parent is None:
        raise InvalidRequest.field("parent_id", "not a checkpoint of this session")
    return parent


def _after(newest: Checkpoint | None, at: datetime) -> datetime:
    """Return a time that is later than the newest checkpoint's: clients order by it."""
    return at if newest is None or at > newest.created_at else newest.created_at + _INSTANT


def _continue(
    session: Session, checkpoint: Checkpoint, newest: Checkpoint | None, *, is_grown: bool, given: Checkpoint | None
) -> None:
    """Say from which checkpoint this one goes on. Clients name the newest as the parent, whatever they went back to."""
    if newest is None:
        return
    if is_grown:
        checkpoint.continues_seq, checkpoint.kept_count = newest.seq, newest.message_count
        checkpoint.branch = newest.branch
        return
    found = pool.continued(session, checkpoint.spans, preferred=given)
    checkpoint.continues_seq, checkpoint.kept_count, checkpoint.branch = found
