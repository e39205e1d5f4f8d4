"""What a search found, as it goes out."""

from html import escape
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sessions.api.json_format import Time
from sessions.search import Hit, Hits


class HitOut(BaseModel):
    """Something found. With neither message nor tool call it is the title or the key of the session."""

    kind: Literal["message", "tool_call", "session"]
    session_id: UUID
    session_title: str | None
    agent_name: str
    project_root: str | None
    message_id: int | None
    tool_call_id: int | None = Field(description="A call of which only the event log tells.")
    role: str | None
    tool: str | None = Field(description="The first tool that it tells of.")
    created_at: Time
    is_archived: bool = Field(description="A compaction took it out of the model's context.")
    score: float = Field(description="Comparable within one answer only.")
    snippet: str = Field(
        description="HTML: escaped text, what was looked for between `<mark>` and `</mark>`.",
        examples=["… so the <mark>parser</mark> drops the last token …"],
    )

    @classmethod
    def of(cls, hit: Hit) -> "HitOut":
        """Return a hit as it goes out."""
        parts = ((escape(part.text), part.is_marked) for part in hit.snippet)
        return cls(
            kind=hit.kind.value,
            session_id=hit.session.uuid,
            session_title=hit.session.title,
            agent_name=hit.agent_name,
            project_root=hit.session.project_root,
            message_id=hit.message_id,
            tool_call_id=hit.tool_call_id,
            role=hit.role or None,
            tool=hit.tool or None,
            created_at=hit.at,
            is_archived=hit.is_archived,
            score=hit.score,
            snippet="".join(f"<mark>{text}</mark>" if is_marked else text for text, is_marked in parts),
        )


class FacetOut(BaseModel):
    """A value by which the hits can be narrowed, and how many of those that were ranked have it."""

    value: str
    count: int


class FacetsOut(BaseModel):
    """At most eight values each, the most frequent first."""

    role: list[FacetOut] = []
    agent_name: list[FacetOut] = []
    project_root: list[FacetOut] = []
    tool: list[FacetOut] = []


class HitsOut(BaseModel):
    """A page of hits, the best of the newest 200 matches first."""

    items: list[HitOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last one.")
    count: int = Field(description="Matches that were ranked together, 200 at most.")
    is_more: bool = Field(description="There are older matches; the pages go on to them.")
    is_behind: bool = Field(description="Something that was written is not indexed yet; mostly for under a second.")
    facets: FacetsOut

    @classmethod
    def of(cls, hits: Hits) -> "HitsOut":
        """Return a page as it goes out."""
        facets = {
            name: [FacetOut(value=value, count=count) for value, count in values]
            for name, values in hits.facets.items()
        }
        return cls(
            items=[HitOut.of(hit) for hit in hits.items],
            next_cursor=hits.next_cursor,
            count=hits.count,
            is_more=hits.is_more,
            is_behind=hits.is_behind,
            facets=FacetsOut(**facets),
        )
