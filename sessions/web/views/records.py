"""What can be done with all that is kept of a session: take a copy, fork it, or archive the older part."""

from django.contrib import messages as toasts
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods

from sessions import compaction, exports, forks
from sessions.exceptions import Conflict, InvalidRequest
from sessions.exports import Format
from sessions.models import Message, Session, who
from sessions.web.forms import CompactForm
from sessions.web.places import number
from sessions.web.requests import PageRequest, with_changeable_session, with_readable_session


@require_GET
@with_readable_session
def export(request: PageRequest, session: Session) -> HttpResponseBase:
    """Hand out all that is kept of a session in the `format` that was chosen; without one, let one be chosen."""
    asked = request.GET.get("format")
    if asked not in set(Format):
        return render(request, "sessions/export.html", {"session": session, "formats": list(Format)})
    copy = exports.take(session, Format(asked), by=who(request.user))
    pieces = copy.pieces(is_async=isinstance(request, ASGIRequest))
    headers = {"Content-Disposition": content_disposition_header(as_attachment=True, filename=copy.name)}
    return StreamingHttpResponse(pieces, content_type=copy.content_type, headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
@with_changeable_session
def compact(request: PageRequest, session: Session) -> HttpResponse:
    """Ask for a summary and how much stays, then archive the rest and show the session again."""
    form = CompactForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            count = compaction.compact(session.pk, by=who(request.user), **form.facts())
        except (Conflict, InvalidRequest) as refused:
            toasts.error(request, refused.detail)
        else:
            toasts.info(request, f"Archived {count:,} messages. They still read." if count else "Nothing to archive.")
            return redirect("web:session", uuid=session.uuid)
    kept = Message.objects.of(session.pk)
    counts = {"active_count": kept.unarchived().count(), "archived_count": kept.archived().count()}
    return render(request, "sessions/compact.html", {"session": session, "form": form, **counts})


@require_http_methods(["GET", "HEAD", "POST"])
@with_changeable_session
def fork(request: PageRequest, session: Session) -> HttpResponse:
    """Ask, then begin a session that goes on from this one, or from the message that `?at=` names, and show it."""
    at = number(request, "at")
    message = None if at is None else get_object_or_404(session.messages.with_heads(), pk=at)
    if request.method != "POST":
        count = Message.objects.of(session.pk).filter(pk__lte=at).count() if at else session.message_count
        context = {"session": session, "message": message, "count": count, "now": timezone.now()}
        return render(request, "sessions/fork.html", context)
    by = who(request.user)
    made = forks.fork_messages(session, by=by, up_to=at) if message else forks.fork_whole(session, by=by)
    toasts.info(request, f"Forked “{session.display_title}”. Resume it in the agent to go on.")
    return redirect("web:session", uuid=made.uuid)
