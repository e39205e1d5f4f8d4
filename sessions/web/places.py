"""Which block of a session's messages or events a query string asks for."""

from urllib.parse import urlsplit

from django.http import HttpRequest, QueryDict

from sessions.models import Event, Message, Session
from sessions.models.message import HEADS, MessageQuerySet, with_calls
from sessions.models.prepared import Place, prepared
from sessions.web import blocks
from sessions.web.blocks import Block

LARGEST = 2**63 - 1
LONGEST_SOUGHT = 200


def messages_at(request: HttpRequest, session: Session) -> Block[Message]:
    """Return the messages that `?before=`, `?after=` or `?at=` name, else the newest.

    Archived ones are left out unless `?archived=1`.
    """
    block = _block_at(request, session)
    with_calls(block.rows)
    return block


def _block_at(request: HttpRequest, session: Session) -> Block[Message]:
    is_archive_shown = shows_archived(request)
    for word, stretch in {"before": blocks.before, "after": blocks.after, "at": blocks.around}.items():
        if (at := number(request, word)) is not None:
            return stretch(_rows(session.pk, is_archive_shown=is_archive_shown), at, key="pk")
    newest = blocks.end_of(_newest(session.pk, is_archive_shown=is_archive_shown), count=blocks.NEWEST)
    return blocks.lightened(newest, weigh=_weight)


def _rows(session_id: "int | Place", *, is_archive_shown: bool) -> MessageQuerySet:
    rows = Message.objects.of(session_id).for_transcript()
    return rows if is_archive_shown else rows.unarchived()


@prepared
def _newest(session_id: Place, *, is_archive_shown: bool) -> MessageQuerySet:
    """Ask for the messages with which a page opens."""
    return blocks.towards_older(_rows(session_id, is_archive_shown=is_archive_shown), key="pk", count=blocks.NEWEST)


def _weight(message: Message) -> int:
    """Return about how many bytes of the page a message takes."""
    texts = (getattr(message, name) or "" for name in HEADS)
    return 500 + sum(len(text) for text in texts) + 1000 * len(message.calls())


def events_at(request: HttpRequest, session: Session) -> Block[Event]:
    """Return the events that `?before=` or `?after=` name, else the newest."""
    rows = Event.objects.filter(session=session)
    if (at := number(request, "before")) is not None:
        return blocks.before(rows, at, key="seq")
    if (at := number(request, "after")) is not None:
        return blocks.after(rows, at, key="seq")
    return blocks.newest(rows, key="seq")


def shows_archived(request: HttpRequest) -> bool:
    """Say whether the reader asked for what a compaction archived."""
    return request.GET.get("archived") == "1"


def sought(request: HttpRequest) -> str:
    """Return the words that are looked for in this session."""
    return request.GET.get("find", "").replace("\0", "")[:LONGEST_SOUGHT]


def seeking(path: str, words: str) -> str:
    """Return the address of a page at which these words are looked for; what an earlier list led to is left then."""
    page = urlsplit(path)
    query = QueryDict(page.query, mutable=True)
    for name in ("find", "at") if words else ("find",):
        query.pop(name, None)
    if words:
        query["find"] = words
    place = page._replace(query=query.urlencode(), fragment=page.fragment if "at" in query else "")
    return place.geturl()


def number(request: HttpRequest, name: str) -> int | None:
    """Return a whole number of the query string; anything else is none."""
    text = request.GET.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > len(str(LARGEST)) or int(text) > LARGEST:
        return None
    return int(text)
