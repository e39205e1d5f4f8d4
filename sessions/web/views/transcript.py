"""Parts of a transcript: older and newer messages, one message whole, one tool call opened."""

from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from sessions import passages
from sessions.models import SHOWN, Message, Session, ToolCall
from sessions.models.fields import dump_json
from sessions.web.places import messages_at, seeking, shows_archived, sought
from sessions.web.requests import PageRequest, page_around, wants_fragment, with_readable_session
from sessions.web.tabs import archived_count

SUB_AGENTS_SHOWN = 20


@require_GET
@with_readable_session
def messages(request: PageRequest, session: Session) -> HttpResponseBase:
    """Return the block of messages that stands before or after one; without htmx, the page that opens there."""
    if not wants_fragment(request):
        return redirect(f"{reverse('web:session', args=[session.uuid])}?{request.GET.urlencode()}")
    stretch, is_older = messages_at(request, session), "after" not in request.GET
    context = {
        "session": session,
        "now": timezone.now(),
        "stretch": stretch,
        "is_archive_shown": shows_archived(request),
        "can_change": session.may_be_changed_by(request.user),
        "way": "older" if is_older else "newer",
        "archived_above": archived_count(session) if is_older and not stretch.has_older else 0,
    }
    return render(request, "sessions/_messages.html", context)


@require_GET
@with_readable_session
def find(request: PageRequest, session: Session) -> HttpResponseBase:
    """Return where the session says `?find=`, which its page's address then says too; without htmx, that page."""
    if not wants_fragment(request):
        return redirect(f"{reverse('web:session', args=[session.uuid])}?{request.GET.urlencode()}")
    q = sought(request)
    page = page_around(request)
    context = {
        "session": session,
        "now": timezone.now(),
        "sought": q,
        "found": passages.find(session, q),
        "closed_url": seeking(page, ""),
    }
    response = render(request, "sessions/_found.html", context)
    if page:
        response["HX-Replace-Url"] = seeking(page, q)
    return response


@require_GET
@with_readable_session
def message(_request: PageRequest, session: Session, pk: int) -> HttpResponse:
    """Hand out the whole text of one message, as a file of plain text."""
    found = get_object_or_404(session.messages, pk=pk)
    return plain_text(found.content or "", name=f"message-{pk}.txt")


@require_GET
@with_readable_session
def value(_request: PageRequest, session: Session, pk: int) -> HttpResponse:
    """Hand out one value of the metadata whole, as a file of plain text."""
    found = get_object_or_404(session.metadata, pk=pk)
    return plain_text(found.value, name=f"metadata-{pk}.txt")


@require_GET
@with_readable_session
def tool(request: PageRequest, session: Session, pk: int) -> HttpResponse:
    """Show input and output of a tool call; with `?part=`, hand out one of them whole."""
    call = get_object_or_404(session.tool_calls, pk=pk)
    part = request.GET.get("part")
    if part == "output" and (whole := output_of(call)) is not None:
        return plain_text(whole, name=f"tool-{pk}-output.txt")
    if part == "input":
        text = call.args if isinstance(call.args, str) else dump_json(call.args)
        return plain_text(text, name=f"tool-{pk}-input.txt")
    if part:
        raise Http404("A tool call has input and output.")
    output, output_size = beginning_of(call)
    context = {
        "session": session,
        "call": call,
        "output": output,
        "output_size": output_size,
        "children": visible_children(request, session, call),
        "now": timezone.now(),
    }
    return render(request, "sessions/_tool_inside.html" if wants_fragment(request) else "sessions/tool.html", context)


def visible_children(request: PageRequest, session: Session, call: ToolCall) -> list[Session]:
    """Return the sessions of the sub-agents that a call began, as far as this reader may see them."""
    begun = session.children.active().filter(parent_tool_call_id=call.call_id)
    return list(begun.readable_by(request.user).order_by("pk")[:SUB_AGENTS_SHOWN])


def output_of(call: ToolCall) -> str | None:
    """Return what a call gave back, from its message or else from the event that closed it; None when unknown."""
    if call.result_message is not None:
        return str(call.result_message.content or "")
    return _told_output_of(call)


def beginning_of(call: ToolCall) -> tuple[str | None, int]:
    """Return the beginning of what a call gave back, one character more than is shown, and the bytes of the whole."""
    if call.result_message_id is not None:
        result = Message.objects.with_heads().get(pk=call.result_message_id)
        return result.head or "", result.size or 0  # type: ignore[attr-defined]
    text = _told_output_of(call)
    return (None, 0) if text is None else (text[: SHOWN + 1], len(text.encode()))


def _told_output_of(call: ToolCall) -> str | None:
    """Return the output that the closing event told of."""
    if call.result_seq is None:
        return None
    event = call.session.events.filter(seq=call.result_seq).first()
    return event.output if event else None


def plain_text(text: str, *, name: str) -> HttpResponse:
    """Return text that a browser saves and never runs."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)
