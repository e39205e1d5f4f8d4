"""Two people who have one of everything, each in words of their own, and the ids of nobody at all."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from sessions import checkpoints, commands, compaction, counting, indexing, retention, transcripts
from sessions.models import (
    ApiKey,
    Delivery,
    File,
    Message,
    Metadata,
    Receipt,
    Request,
    SearchEntry,
    Session,
    ToolCall,
    Turn,
    Webhook,
)
from sessions.models.keyset import Keyset
from sessions.models.metadata import TODO_KEY
from tests.factories import make_events, make_key, make_session, make_user

Things = SimpleNamespace
"""What a person has, by the ids, names and marks with which a request can name it."""


def furnish(word: str, secret: str, *, more: int = 0) -> Things:
    """Make a person with a private session that has everything, and one below it; return all that it is known by.

    All texts hold `word` and `secret`. With `more` its log and its checkpoints go on further by so many.
    """

    def said(what: str) -> str:
        return f"{word}-{what}-{secret}"

    now = timezone.now()
    owner = make_user(said("user"))
    facts = {"agent_name": said("agent"), "project_root": f"/srv/{said('project')}", "model": said("model")}
    turns = [{"role": "user", "content": said(f"state-{number}")} for number in range(2 + more)]
    kept = checkpoints.begin(
        owner=owner, source="laptop", state=_state(turns[:1], said), by="test", title=said("title"), key=said("key"),
        provider=said("provider"), **facts,
    )  # fmt: skip
    for count in range(2, len(turns) + 1):
        kept = checkpoints.add(kept.session_id, _state(turns[:count], said), by="test")
    session = Session.objects.get(pk=kept.session_id)
    _speak(session, said)
    compaction.compact(session.pk, summary=said("summary"), preserve_count=2, by="test")
    _work(session, said, more)
    command = commands.ask(session.pk, {"type": "user_prompt", "text": said("prompt"), "images": []}, by=owner)
    for key in ("progress", TODO_KEY, said("metadata")):
        Metadata.objects.put(session, key, f"- [ ] {said('value')}")
    File.objects.own(session, f"/srv/{said('file')}")
    child = make_session(
        owner, source=said("source"), title=said("child"), parent=session, parent_tool_call_id=said("call"), **facts
    )
    transcripts.append(child.pk, [transcripts.MessageDraft(role="user", content=said("errand"))])
    make_events(child, {"type": "turn_start", "turn_id": said("errand")})
    receipt = purged(owner, said, now)
    key = ApiKey.objects.issue(user=owner, name=said("key"), source=said("source"), scopes=("read",)).record
    hook = Webhook.objects.register(owner=owner, url=f"https://{said('hook')}.example.org/in")
    Delivery.objects.create(webhook=hook, kind="stuck", session=session, seq=1, due_at=now, next_attempt_at=now)
    settle()
    session.refresh_from_db()
    asked, calls = Request.objects.filter(session=session), ToolCall.objects.filter(session=session)
    return Things(
        owner=owner, plain=make_key(owner, source="laptop").plain, word=word, secret=secret, row=session,
        child_row=child, session=session.uuid, child=child.uuid, checkpoint=kept.uuid, receipt=receipt.uuid,
        key=said("key"), title=said("title"), agent=said("agent"), project=facts["project_root"], source=said("source"),
        tool_name=said("tool"), turn=said("turn"), event_id=said("event"), client_id=said("client"), call=said("call"),
        open_call=said("open-call"), request_id=said("request"), question_id=said("question"),
        metadata_key=said("metadata"), file=f"/srv/{said('file')}",
        message=Message.objects.of(session.pk).order_by("-pk").first().pk, tool=calls.get(call_id=said("call")).pk,
        metadata=session.metadata.get(key=said("metadata")).pk, request=asked.get(request_id=said("request")).pk,
        command=command.pk, event_seq=session.last_seq, checkpoint_seq=kept.seq, key_pk=key.pk, webhook=hook.pk,
        **_marks(session, child, receipt),
    )  # fmt: skip


def nobodys(things: Things) -> Things:
    """Return ids and names of the same kinds that nothing has; they stand in lists where these would."""

    def other(name: str, value: Any) -> Any:
        if isinstance(value, UUID):
            return uuid4()
        if isinstance(value, str):
            return f"{'/srv/' if value.startswith('/') else ''}zz-nobody-{name}"
        return 9_000_000_000 if isinstance(value, int) else None

    return Things(**{name: other(name, value) for name, value in vars(things).items()})


def settle() -> None:
    """Let index, figures and sizes have all that was written."""
    indexing.finish()
    counting.count(seconds=10)
    retention.measure(seconds=10)


def rows_of(things: Things, store: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows of `see_store` that are this person's, or of their sessions."""
    pks = {things.row.pk, things.child_row.pk}

    def is_theirs(row: dict[str, Any]) -> bool:
        is_owned = things.owner.pk in {row.get("owner_id"), row.get("user_id")}
        return is_owned or row.get("session_id") in pks or row.get("webhook_id") == things.webhook

    return {name: [row for row in rows if is_theirs(row)] for name, rows in store.items()}


def _state(turns: list[dict[str, str]], said: Any) -> checkpoints.State:
    return checkpoints.State.of({"messages": turns, "more": said("rest")})


def _speak(session: Session, said: Any) -> None:
    """Say something, with a call and its result, and what it took."""
    calls = [{"id": said("call"), "function_name": said("tool"), "arguments": f'{{"command": "{said("args")}"}}'}]
    counts = transcripts.TokenCounts(prompt_tokens=3, completion_tokens=4)
    draft = transcripts.MessageDraft
    drafts = [
        draft(role="user", content=said("words"), client_id=said("client")),
        draft(role="assistant", tool_calls=calls, usage=counts, agent_name=said("agent")),
        draft(role="tool", tool_call_id=said("call"), content=said("output")),
        draft(role="assistant", content=said("answer")),
        draft(role="user", content=said("last")),
    ]
    transcripts.append(session.pk, drafts)


def _work(session: Session, said: Any, more: int) -> None:
    """Begin a turn with a call that is open, an approval and a question that wait, and tell `more`."""
    asked = {"tool_name": said("tool"), "detail": said("detail"), "preview": None}
    make_events(
        session,
        {"type": "turn_start", "turn_id": said("turn"), "event_id": said("event")},
        {"type": "tool_call_start", "id": said("open-call"), "name": said("tool"), "args": {"path": said("args")}},
        {"type": "approval_request", "id": said("request"), **asked},
        {"type": "ask_user_request", "id": said("question"), "question": said("which"), "options": [said("this")]},
        *({"type": "info", "text": said(f"news-{number}")} for number in range(20 * more)),
    )


def purged(owner: Any, said: Any, now: datetime) -> Receipt:
    """Return the receipt of a purge of this person's, from a database that is large."""
    criteria = {"source": said("source")}
    receipt = Receipt.objects.begin("stale", said("rule"), criteria, owner=owner, by=f"user:{owner.pk}", now=now)
    receipt.bytes_before = 987_654_321
    receipt.complete(counts={}, size=1, session_count=1, is_complete=True, bytes_after=987_654_321, now=now)
    return receipt


def _marks(session: Session, child: Session, receipt: Receipt) -> dict[str, str]:
    """Return the marks at which lists of this person stop."""
    newest = Message.objects.of(session.pk).order_by("-pk").first()
    entry = SearchEntry.objects.filter(session=session).order_by("-pk").first()
    asked = Request.objects.filter(session=session).order_by("pk").first()
    file, turn = File.objects.get(session=session), Turn.objects.filter(session=session).first()
    asked.closed_at = asked.opened_at
    return {
        "list_mark": Keyset(Session, "-last_activity_at").mark(child),
        "running_mark": Keyset(Session, "-turn_started_at").mark(child),
        "stuck_mark": Keyset(Session, "turn_started_at").mark(child),
        "recent_mark": Keyset(Message, "-id").mark(newest),
        "turn_mark": Keyset(Turn, "id").mark(turn),
        "file_mark": Keyset(File, "id").mark(file),
        "purge_mark": Keyset(Receipt, "-started_at").mark(receipt),
        "open_mark": Keyset(Request, "opened_at").mark(asked),
        "past_mark": Keyset(Request, "-closed_at", has_nulls=False).mark(asked),
        "search_mark": f"{entry.pk + 1}-0",
    }
