"""Purges by any policy, and their receipts."""

from django.http import HttpRequest
from ninja import Router

from sessions import retention
from sessions.api.auth import Caller, authenticate
from sessions.api.native.schemas.purges import PurgeByIn, PurgedByOut, ReceiptOut
from sessions.api.pagination import LIMIT, Cursor, Limit, PageOut, page
from sessions.api.problems import failing
from sessions.exceptions import InvalidRequest
from sessions.models import Receipt, Scope, Session
from sessions.retention import Policy, Rule

router = Router(tags=["Retention"])


@router.post(
    "/purges",
    response={200: PurgedByOut, **failing(400, 409, 413, 415)},
    operation_id="purge",
    summary="Destroy what is old",
)
def purge(request: HttpRequest, body: PurgeByIn) -> PurgedByOut:
    """Destroy for good what a policy names, in the sessions that the key's user owns. Needs the scope control."""
    caller = authenticate(request)
    caller.require(Scope.CONTROL)
    rule = _rule(caller, body)
    if body.dry_run:
        found = retention.preview(rule)
        return PurgedByOut(
            dry_run=True, policy=rule.policy, counts=found.counts, session_count=found.session_count,
            size_bytes=found.size, kept=found.kept, receipt=None,
        )  # fmt: skip
    purged = retention.purge(rule, by=caller.name)
    return PurgedByOut(
        dry_run=False, policy=rule.policy, counts=purged.counts, session_count=len(purged.session_ids),
        size_bytes=purged.size, kept=purged.kept, receipt=purged.receipt.uuid if purged.receipt.is_kept else None,
    )  # fmt: skip


@router.get("/purges", response={200: PageOut[ReceiptOut], **failing()}, operation_id="list_purges", summary="Receipts")
def list_purges(request: HttpRequest, limit: Limit = LIMIT, cursor: Cursor | None = None) -> PageOut[ReceiptOut]:
    """Return the receipts of the purges of the key's user, newest first."""
    caller = authenticate(request)
    caller.require(Scope.READ)
    found = page(Receipt.objects.filter(owner=caller.user), order="-started_at", cursor=cursor, limit=limit)
    items = [ReceiptOut.of(receipt, shows_database=caller.user.is_staff) for receipt in found.items]
    return PageOut[ReceiptOut](items=items, next_cursor=found.next_cursor)


def _rule(caller: Caller, body: PurgeByIn) -> Rule:
    """Return the rule; the age must be the policy's own. Raises `InvalidRequest`."""
    name = body.policy.age_field
    other = "older_than_days" if body.policy is Policy.STALE else "ttl_hours"
    age: int | None = getattr(body, name)
    if age is None:
        raise InvalidRequest.field(name, f"is needed for {body.policy.value}")
    if getattr(body, other) is not None:
        raise InvalidRequest.field(other, f"does not go with {body.policy.value}")
    return Rule(
        policy=body.policy, age=age, include_running=body.include_running, is_forced=body.force,
        project=body.project_root or "", source=body.source or "",
        asker=caller.user, within=Session.objects.filter(owner=caller.user),
    )  # fmt: skip
