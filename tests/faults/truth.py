"""What those who followed have come to, held against what the database says."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.faults.followers import Page, Program
from tests.faults.turns import TurnTaker

SETTLE_SECONDS = 20


async def hold(client: httpx.AsyncClient, writer: TurnTaker, log: list[dict[str, Any]]) -> None:
    """Hold the log of a session against what its writer was told is stored."""
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert [name for event in log for name in _names(event)] == writer.events, "what was acknowledged is there, once"
    kept = [row["id"] for row in await items_of(client, f"sessions/{writer.session}/messages?view=all", "id")]
    assert kept == writer.messages, "each message once, in order"


def view_of(follower: Program) -> dict[str, Any]:
    """Return what a program has come to, from events alone."""
    folded = follower.folded
    outcomes = {turn: [call.outcome for call in folded.calls if call.turn_id == turn] for turn in folded.turns}
    return {
        "session": (folded.state, folded.turn_id, folded.liveness, folded.needs),
        "turns": folded.turns,
        "tools": {
            turn: (len(found), found.count("success"), found.count("aborted")) for turn, found in outcomes.items()
        },
        "messages": follower.messages,
    }


async def truth_of(client: httpx.AsyncClient, session: str) -> dict[str, Any]:
    """Return the same from the tables."""
    row = (await client.get(f"/api/v1/sessions/{session}")).json()
    turns = await items_of(client, f"sessions/{session}/turns", None)
    tools = {turn["turn_id"]: turn["tools"] for turn in turns}
    return {
        "session": (row["state"], row["turn_id"], row["liveness"], row["needs"]),
        "turns": {turn["turn_id"]: turn["reason"] and turn["reason"]["kind"] for turn in turns},
        "tools": {turn: (found["total"], found["successful"], found["aborted"]) for turn, found in tools.items()},
        "messages": [
            message["id"] for message in await items_of(client, f"sessions/{session}/messages?view=all", "id")
        ],
    }


def look_of(page: Page) -> tuple[Any, ...]:
    """Return what can be compared of two pages: one that was followed, and one that was just opened."""
    newest = page.messages[-20:]
    return (newest, page.verdict, sorted(page.tools.items())[-20:])


async def shown(browser: httpx.AsyncClient, session: str) -> Page:
    page = Page("", browser, session=session)
    await page.prepare()
    return page


def _names(event: dict[str, Any]) -> list[str]:
    """Return the ids of the events that a row of the log holds: the deltas say theirs in their text."""
    if event["type"] == "text_delta":
        return str(event["text"]).split()
    return [event["event_id"]] if event["event_id"] else []


async def items_of(client: httpx.AsyncClient, path: str, by: str | None) -> list[dict[str, Any]]:
    """Return all items of a list, page after page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        answer = (await client.get(f"/api/v1/{path}", params={**httpx.URL(path).params, **more})).json()
        items += answer["items"]
        cursor = answer["next_cursor"]
    return sorted(items, key=lambda item: item[by]) if by else items


async def rows(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await client.get("/api/v1/sessions?limit=500")).json()["items"]


async def comes_to(view: Callable[[], Any], truth: Any) -> None:
    """Wait until a view is as it should be; fail with the difference when it does not become so."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (seen := view()) != truth and time.monotonic() < deadline:  # noqa: ASYNC110 - sockets tell, nothing signals
        await asyncio.sleep(0.05)
    assert seen == truth
