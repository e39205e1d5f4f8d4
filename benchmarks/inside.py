"""The product's own verb without HTTP."""

import time

from django.contrib.auth.models import User

from benchmarks.bodies import text_of
from sessions import transcripts
from sessions.models import Session
from sessions.transcripts import MessageDraft


def append(batch: int, seconds: float) -> float:
    """Append for a while and return how many messages a second were stored."""
    owner = User.objects.get(username="owner")
    session = Session.objects.start(owner=owner, source="inside", agent_name="bench").session
    drafts = [MessageDraft(role="user", content=text_of(number)) for number in range(1000)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        first = done % 900
        transcripts.append(session.pk, drafts[first : first + batch])
        done += batch
    return done / (time.perf_counter() - began)
