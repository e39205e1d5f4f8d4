"""The path that Django, ninja and the ORM give without thought, doing the product's work: the figure to beat.

A plain ASGI application under plain Daphne; a handler that finds the key, locks the session, creates the message, its
row of a full-text index and its event, and saves the counters, all by the ORM, in one transaction.
"""

import os
from uuid import UUID

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.stock_settings"

from django.core.asgi import get_asgi_application

application = get_asgi_application()

from django.db import connection, transaction  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from ninja import NinjaAPI, Schema, Status  # noqa: E402
from ninja.security import HttpBearer  # noqa: E402

from sessions.models import ApiKey, Event, Message, Session  # noqa: E402
from sessions.models.api_key import digest_of  # noqa: E402


class KeyAuth(HttpBearer):
    """Find the key by its hash."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiKey | None:
        """Return the key, or None."""
        return ApiKey.objects.select_related("user").filter(digest=digest_of(token)).first()


class MessageIn(Schema):
    """One message."""

    role: str
    content: str


class MessagesIn(Schema):
    """Several messages."""

    messages: list[MessageIn]


api = NinjaAPI(auth=KeyAuth(), urls_namespace="stock")


@api.post("/sessions/{session_id}/messages", response={201: dict})
def append(request: HttpRequest, session_id: UUID, body: MessagesIn | MessageIn) -> Status:
    """Store messages with all that the product stores with them."""
    now = timezone.now()
    with transaction.atomic():
        session = Session.objects.select_for_update().get(uuid=session_id, owner=request.auth.user)
        ids = []
        for draft in body.messages if isinstance(body, MessagesIn) else [body]:
            message = Message.objects.create(session=session, role=draft.role, content=draft.content, created_at=now)
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO stock_index (rowid, content) VALUES (%s, %s)", [message.pk, draft.content])
            ids.append(message.pk)
        session.message_count += len(ids)
        session.last_seq += 1
        session.revision += 1
        session.last_activity_at = session.updated_at = now
        session.save()
        Event.objects.create(
            session=session, seq=session.last_seq, type="server.messages_added",
            payload={"message_ids": ids}, received_at=now,
        )  # fmt: skip
    return Status(201, {"ids": ids, "message_count": session.message_count})


urlpatterns = [path("api/v1/", api.urls)]
