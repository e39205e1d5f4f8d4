"""What only the database or the framework can tell of a server's data, asked in its settings."""

from django.contrib.auth.models import User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sessions.models import Event, Session
from sessions.models.keyset import Keyset
from sessions.web.forms import SORTS
from sessions.web.views.listing import ROWS


def pages(number: int) -> list[tuple[str, int]]:
    """Return the addresses of the wall and of two pages of the list, its first and this one, and their queries."""
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="owner"))
    found = []
    for path in ("/", "/sessions/", _address(number)):
        client.get(path)
        with CaptureQueriesContext(connection) as taken:
            answer = client.get(path)
        assert answer.status_code == 200, (path, answer)
        found.append((path, len(taken)))
    return found


def _address(page: int) -> str:
    """Return where this page of the list stands (from 1), or the last if there are not so many."""
    rows = Session.objects.active().order_by("-last_activity_at", "-pk")
    place = min(page - 1, rows.count() // ROWS - 1) * ROWS
    return f"/sessions/?after={Keyset(Session, SORTS[''][1]).mark(rows[place - 1])}" if place > 0 else "/sessions/"


def gaps(uuid: str) -> dict[str, int]:
    """Return how many seqs are missing in a session's log, and its messages by its counter and by its rows."""
    session = Session.objects.get(uuid=uuid)
    log = Event.objects.filter(session=session).aggregate(
        count=models.Count("pk"), first=models.Min("seq"), last=models.Max("seq")
    )
    missing = log["last"] - log["first"] + 1 - log["count"] + abs(session.last_seq - log["last"])
    return {"missing": missing, "counted": session.message_count, "stored": session.messages.count()}
