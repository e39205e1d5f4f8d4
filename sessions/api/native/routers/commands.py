"""Commands: people ask, agents fetch and acknowledge."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status
from pydantic import Field

from sessions import commands
from sessions.api import access
from sessions.api.auth import Caller, authenticate, look_again
from sessions.api.native.polling import LONGEST_SECONDS, draining_of, in_thread, wait_for_commands
from sessions.api.native.schemas.commands import AskedOut, CommandIn, HandedOverOut
from sessions.api.native.schemas.turns import CommandsOut
from sessions.api.problems import failing
from sessions.exceptions import Forbidden, NotFound
from sessions.models import Command, Session
from sessions.wire import AckIn

router = Router(tags=["Commands"])


@router.post(
    "/sessions/{session_id}/commands",
    response={201: AskedOut, **failing(400, 404, 409, 413, 415)},
    operation_id="ask_command",
    summary="Tell an agent something",
)
def ask_command(request: HttpRequest, session_id: UUID, body: CommandIn) -> Status[AskedOut]:
    """Ask the session's agent to obey an EngineCommand. Of several answers to one request the first wins."""
    caller = authenticate(request)
    session = access.find_to_control(caller, session_id)
    return Status(201, AskedOut.of(commands.ask(session.pk, body.body(), by=caller.user)))


@router.get(
    "/sessions/{session_id}/commands",
    response={200: CommandsOut, **failing(404)},
    operation_id="fetch_commands",
    summary="Fetch commands",
)
async def fetch_commands(
    request: HttpRequest,
    session_id: UUID,
    wait: Annotated[float, Field(ge=0, le=LONGEST_SECONDS, description="Seconds to wait for the first one.")] = 0,
) -> dict[str, Any]:
    """Return the commands not yet delivered, in order, and mark them so; for a write key of the session's source."""
    caller = authenticate(request)
    session = await in_thread(_find_own, caller, session_id)
    check = partial(_find_still_own, caller, session_id)
    handed = await wait_for_commands(session.pk, seconds=wait, check=check, draining=draining_of(request))
    return {"commands": [HandedOverOut.of(command) for command in handed]}


@router.post(
    "/commands/{command_id}/ack",
    response={200: AskedOut, **failing(400, 404, 409, 413, 415)},
    operation_id="acknowledge_command",
    summary="Say what became of a command",
)
def acknowledge_command(
    request: HttpRequest, command_id: Annotated[int, Field(ge=1, le=2**63 - 1)], body: AckIn
) -> AskedOut:
    """Acknowledge a command as obeyed or refused; for a write key of the session's source."""
    caller = authenticate(request)
    command = Command.objects.select_related("session").filter(pk=command_id).first()
    if command is None or not command.session.may_be_read_by(caller.user):
        raise NotFound("No such command.")
    _find_own(caller, command.session.uuid)
    return AskedOut.of(commands.acknowledge(command.pk, is_obeyed=body.obeyed, detail=body.detail))


def _find_still_own(caller: Caller, session_id: UUID) -> Session:
    """Return the same when some time has passed. Raises `Unauthorized` too, when the caller's key has ended."""
    return _find_own(look_again(caller), session_id)


def _find_own(caller: Caller, session_id: UUID) -> Session:
    """Return a session whose agent the caller is. Raises `NotFound` or `Forbidden`."""
    session = access.find_to_write(caller, session_id)
    if not access.is_own(caller, session):
        raise Forbidden("Commands go to a write key of the session's own source.")
    return session
