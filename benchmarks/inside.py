"""The product's own verb without HTTP, in a process of its own: `python -m benchmarks.inside BATCH`; prints a rate."""

import os
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - the settings come first

from benchmarks.load import text_of  # noqa: E402
from sessions import transcripts  # noqa: E402
from sessions.models import Session  # noqa: E402
from sessions.transcripts import MessageDraft  # noqa: E402

SECONDS = 2


def main() -> None:
    """Append for a while and print how many messages a second were stored."""
    batch = int(sys.argv[1])
    owner = User.objects.get(username="owner")
    session = Session.objects.start(owner=owner, source="inside", agent_name="bench").session
    drafts = [[MessageDraft(role="user", content=text_of(number))] for number in range(1000)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + SECONDS:
        first = done % 900
        transcripts.append(session.pk, [draft for drafted in drafts[first : first + batch] for draft in drafted])
        done += batch
    print(done / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
