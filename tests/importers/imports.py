"""Imports of databases as the tests of their importers make them."""

from pathlib import Path
from typing import Any

from sessions.importers import Opener, discover
from sessions.importers.feeding import Feed
from sessions.importers.store import Store
from sessions.models import Event, File, Message, Metadata, Session, ToolCall
from tests.factories import make_user


class Import:
    """An import that may go on: each `pull` takes what is new, as --follow does."""

    def __init__(self, path: Path, *, owner: Any = None, make: type[Store] = Store, source: str = "koda") -> None:
        (transcript,) = discover(path)
        self.feed = Feed.of(transcript, opener=Opener())
        self.store = make(owner=owner or make_user(), source=source)

    def pull(self) -> "Import":
        self.store.write(self.feed.pull())
        self.store.flush()
        return self

    @property
    def written(self) -> Any:
        return self.store.written


def everything() -> dict[str, Any]:
    return {
        "sessions": sorted(
            Session.objects.values_list("key", "title", "mode", "message_count", "prompt_tokens", "last_seq")
        ),
        "messages": list(Message.objects.order_by("id").values_list("client_id", "content", "compacted_at")),
        "calls": list(ToolCall.objects.order_by("id").values_list("call_id", "outcome")),
        "metadata": sorted(Metadata.objects.values_list("key", "value")),
        "files": sorted(File.objects.values_list("path", flat=True)),
        "events": Event.objects.count(),
    }
