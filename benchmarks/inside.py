"""The product's own verb without HTTP, in a process of its own: `python -m benchmarks.inside BATCH SECONDS`."""

import os
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - the settings come first

from benchmarks.bodies import text_of  # noqa: E402
from sessions import transcripts  # noqa: E402
from sessions.models import Session  # noqa: E402
from sessions.transcripts import MessageDraft  # noqa: E402


def main() -> None:
    """Append for a while and print how many messages a second were stored."""
    batch, seconds = int(sys.argv[1]), float(sys.argv[2])
    owner = User.objects.get(username="owner")
    session = Session.objects.start(owner=owner, source="inside", agent_name="bench").session
    drafts = [MessageDraft(role="user", content=text_of(number)) for number in range(1000)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        first = done % 900
        transcripts.append(session.pk, drafts[first : first + batch])
        done += batch
    print(done / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
