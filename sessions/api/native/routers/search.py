"""Search over everything that the caller may see."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router

from sessions.api.auth import authenticate
from sessions.api.native.schemas.search import HitsOut
from sessions.api.pagination import Cursor, Limit
from sessions.api.problems import failing
from sessions.models import Scope
from sessions.models.filtering import StateFilter
from sessions.search import Filters, search
from sessions.wire import Name, TimeIn

router = Router(tags=["Search"])
HITS = 20
"""Hits of a page when the caller does not say."""


@router.get("/search", response={200: HitsOut, **failing()}, operation_id="search", summary="Search")
def search_everything(
    request: HttpRequest,
    *,
    q: Annotated[str, Query(description='Words, `"phrases"`, `-without`, `begin*`; never an error.')] = "",
    role: Name = "",
    agent_name: Name = "",
    project_root: Name = "",
    tool: Name = "",
    source: Name = "",
    state: StateFilter | None = None,
    after: TimeIn | None = None,
    before: TimeIn | None = None,
    cursor: Cursor | None = None,
    limit: Limit = HITS,
) -> HitsOut:
    """Return messages, tool calls and titles that match, the best of the newest first.

    All words must be there; of the last one its beginning is enough. Accents and case do not matter.
    """
    caller = authenticate(request)
    caller.require(Scope.READ)
    narrow = Filters(
        role=role, agent_name=agent_name, project_root=project_root, tool=tool, source=source,
        state=state.value if state else "", after=after, before=before,
    )  # fmt: skip
    return HitsOut.of(search(q, user=caller.user, filters=narrow, limit=limit, cursor=cursor))
