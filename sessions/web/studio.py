"""Objects as they would come from the database, for the style page: made, shown, and never saved."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from sessions.models import Liveness, Message, Needs, Request, Session, State, ToolCall


class Studio:
    """Makes objects as they would come from the database, each with a number of its own."""

    def __init__(self, user: User, now: datetime) -> None:
        """Everything belongs to `user` and is as old as it says before `now`."""
        self.user = user
        self.now = now
        self._last = 0

    def next(self) -> int:
        """Return a number that none has had."""
        self._last += 1
        return self._last

    def ago(self, seconds: float) -> datetime:
        """Return a time so many seconds before now."""
        return self.now - timedelta(seconds=seconds)

    def session(self, title: str, **facts: Any) -> Session:
        """Return a session that rests, unless `facts` say otherwise."""
        number = self.next()
        known = {
            "pk": number, "uuid": UUID(int=number), "owner": self.user, "source": "laptop", "agent_name": "koda",
            "project_root": "/home/anna/lighthouse", "title": title, "created_at": self.ago(4000),
            "updated_at": self.ago(9), "last_activity_at": self.ago(700), "liveness_since": self.ago(700),
            "message_count": 42,
        }  # fmt: skip
        session = Session(**{**known, **facts})
        setattr(session, "open_requests", [])  # noqa: B010  (as `with_requests` loads them)
        return session

    def running(self, title: str, liveness: str = Liveness.LIVE, **facts: Any) -> Session:
        """Return a session whose agent runs a command."""
        known = {
            "state": State.RUNNING, "liveness": liveness, "turn_started_at": self.ago(412), "heard_at": self.ago(3),
            "progressed_at": self.ago(3), "doing": "Bash", "doing_detail": "cargo test", "doing_since": self.ago(42),
            "has_events": True, "context_used": 96_000, "context_max": 200_000, "prompt_tokens": 1_200_000,
            "completion_tokens": 34_000, "api_call_count": 80,
        }  # fmt: skip
        return self.session(title, **{**known, **facts})

    def request(self, session: Session, kind: str = Needs.APPROVAL, **facts: Any) -> Request:
        """Return a request that waits."""
        return Request(**{
            "pk": self.next(), "session": session, "kind": kind, "opened_seq": 3, "opened_at": self.ago(184),
            "tool_name": "Bash", "detail": "rm -r build/", **facts,
        })  # fmt: skip

    def call(self, session: Session, **facts: Any) -> ToolCall:
        """Return a tool call that is open."""
        return ToolCall(**{
            "pk": self.next(), "session": session, "call_id": "c", "name": "Bash", "args": {"command": "cargo test"},
            "detail": "cargo test", "started_at": self.ago(42), "is_timed": True, "start_seq": 1, **facts,
        })  # fmt: skip

    def message(self, session: Session, role: str, content: str | None, **facts: Any) -> Message:
        """Return a message; `calls_made` as the transcript loads them."""
        calls = facts.pop("calls_made", [])
        message = Message(
            pk=self.next(), session=session, role=role, content=content, created_at=self.ago(300), **facts
        )
        message.calls_made = calls  # type: ignore[attr-defined]
        message.head, message.thinking_head = content, message.thinking  # type: ignore[attr-defined]
        message.size = len((content or "").encode())  # type: ignore[attr-defined]
        return message
