"""Compaction, and what it archived."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from sessions import compaction, retention
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.native.schemas.records import ArchivedStatsOut, CompactedOut, CompactIn, PurgedOut, PurgeIn
from sessions.api.problems import failing
from sessions.models import Scope, Session
from sessions.retention import ArchivedStats, Policy, Rule

router = Router(tags=["Compaction"])


@router.post(
    "/sessions/{session_id}/compact",
    response={200: CompactedOut, **failing(400, 404, 409, 413, 415)},
    operation_id="compact_session",
    summary="Compact a session",
)
def compact_session(request: HttpRequest, session_id: UUID, body: CompactIn) -> CompactedOut:
    """Archive all but the last messages of the context and append a summary of them. Needs the scope control."""
    caller = authenticate(request)
    session = access.find_to_control(caller, session_id)
    count = compaction.compact(session.pk, summary=body.summary, preserve_count=body.preserve_count, by=caller.name)
    return CompactedOut(compacted=count)


@router.get(
    "/compacted/stats",
    response={200: ArchivedStatsOut, **failing()},
    operation_id="get_compacted_stats",
    summary="Read what is archived",
)
def get_compacted_stats(request: HttpRequest) -> ArchivedStats:
    """Return the figures of the archived messages in the sessions that the key's user owns."""
    caller = authenticate(request)
    caller.require(Scope.READ)
    return retention.archived_stats(caller.user)


@router.post(
    "/compacted/purge",
    response={200: PurgedOut, **failing(400, 409, 413, 415)},
    operation_id="purge_compacted",
    summary="Destroy what is archived",
)
def purge_compacted(request: HttpRequest, body: PurgeIn) -> PurgedOut:
    """Destroy archived messages in the sessions that the key's user owns; tokens stay counted. Needs control."""
    caller = authenticate(request)
    caller.require(Scope.CONTROL)
    within = Session.objects.filter(owner=caller.user)
    rule = Rule(policy=Policy.COMPACTED, age=body.min_age_days, asker=caller.user, within=within)
    if body.dry_run:
        return PurgedOut(purged=retention.preview(rule).count)
    return PurgedOut(purged=retention.purge(rule, by=caller.name).counts.get("messages", 0))
