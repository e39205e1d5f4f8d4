"""A session that has one of every record, made by the product's own verbs where there are any."""

from django.utils import timezone

from sessions import transcripts
from sessions.models import Checkpoint, Command, Delivery, File, Lease, Metadata, Session, Webhook
from tests.factories import make_events, make_key, make_session, make_user

RECORDS = (
    "session", "message", "turn", "toolcall", "request", "command", "event", "apikey", "usage", "metadata", "file",
    "checkpoint", "lease", "webhook", "delivery", "auditentry",
)  # fmt: skip
_OF_NONE = {"session", "apikey", "lease", "webhook", "delivery", "auditentry"}
OF_A_SESSION = tuple(name for name in RECORDS if name not in _OF_NONE)


def make_everything(**facts) -> Session:
    session = make_session(**facts)
    now = timezone.now()
    counts = transcripts.TokenCounts(prompt_tokens=3, completion_tokens=4)
    calls = [{"id": "call", "function_name": "Bash", "arguments": '{"command": "ls"}'}]
    transcripts.append(
        session.pk,
        [
            transcripts.MessageDraft(role="user", content="look around"),
            transcripts.MessageDraft(role="assistant", tool_calls=calls, usage=counts),
        ],
    )
    make_events(
        session,
        {"type": "turn_start", "turn_id": "turn"},
        {"type": "approval_request", "id": "ask", "tool_name": "Bash", "detail": "ls", "preview": None},
    )
    Command.objects.create(session=session, body={"type": "interrupt"}, created_at=now)
    Metadata.objects.create(session=session, key="todo", value="- [ ] all", updated_at=now)
    File.objects.create(session=session, path="/srv/a", created_at=now)
    checkpoint = Checkpoint.objects.create(session=session, seq=1, created_at=now, updated_at=now)
    Session.objects.filter(pk=session.pk).update(active_checkpoint=checkpoint)
    make_key(user=make_user())
    Lease.objects.take(f"job-{session.pk}", owner="here", seconds=1)
    hook = Webhook.objects.register(owner=session.owner, url="https://hooks.example.org/services/T0/secret-part")
    Delivery.objects.create(webhook=hook, kind="stuck", session=session, seq=1, due_at=now, next_attempt_at=now)
    session.refresh_from_db()
    return session
