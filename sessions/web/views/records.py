"""What can be done with all that is kept of a session: take a copy, or archive the older part."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO

from asgiref.sync import sync_to_async
from django.contrib import messages as toasts
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from sessions import compaction, exports
from sessions.exceptions import InvalidRequest
from sessions.models import Message, Session
from sessions.web.forms import CompactForm
from sessions.web.requests import PageRequest, with_changeable_session, with_readable_session

_PIECE = 256 * 1024
_IN_MEMORY = 4 * 1024 * 1024
"""Bytes of an export that are not put on the disk while they are sent."""


@require_GET
@with_readable_session
def export(request: PageRequest, session: Session) -> StreamingHttpResponse:
    """Hand out everything that is kept of a session, as a file of JSON lines."""
    # The connection belongs to this thread: what is sent piece by piece, later, is read now.
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (closed when all is sent)
    file.writelines(exports.lines_of(session))
    size = file.tell()
    file.seek(0)
    pieces = _AsyncPieces(file) if isinstance(request, ASGIRequest) else _Pieces(file)
    headers = {
        "Content-Disposition": f'attachment; filename="session-{session.uuid}.jsonl"',
        "Content-Length": str(size),
    }
    return StreamingHttpResponse(pieces, content_type="application/jsonl", headers=headers)


class _Pieces:
    """A file, piece by piece; the response closes it, however far it has been read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(_PIECE):
            yield piece


class _AsyncPieces:
    """The same for a server that is async."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await sync_to_async(self._file.read)(_PIECE):
            yield piece


@require_http_methods(["GET", "HEAD", "POST"])
@with_changeable_session
def compact(request: PageRequest, session: Session) -> HttpResponse:
    """Ask for a summary and how much stays, then archive the rest and show the session again."""
    form = CompactForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        facts = form.cleaned_data
        try:
            count = compaction.compact(
                session.pk, summary=facts["summary"], preserve_count=facts["keep"], by=f"user:{request.user.pk}"
            )
        except InvalidRequest as invalid:
            toasts.error(request, invalid.detail)
        else:
            toasts.info(request, f"Archived {count:,} messages. They still read." if count else "Nothing to archive.")
            return redirect("web:session", uuid=session.uuid)
    active_count = Message.objects.of(session.pk).unarchived().count()
    return render(request, "sessions/compact.html", {"session": session, "form": form, "active_count": active_count})
