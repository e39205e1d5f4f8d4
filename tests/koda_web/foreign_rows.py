"""Each parameter of each door that can name something, with a request that names what is somebody else's in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.koda_web.test_permissions import ALL, CONTRACTS, PAGES

ROOTS = {"native": "/api/v1/", "stakpak": "/v1/", "zeroclaw": "/api/zeroclaw/"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A request. `{its.…}` is what one's own, somebody else's or nobody's thing takes in turn; `{mine.…}` stays.

    `refused` is the status for what is not the caller's; None: it is passed over like a name that nothing has.
    """

    path: str
    method: str = "GET"
    body: Any = None
    refused: int | None = None
    own: int | None = None
    """The status for the caller's own; None: any that lets in."""
    shows: bool = False
    """Whether the answer then shows the caller's own words."""
    changes: bool = False
    """Whether the caller's own is changed then."""
    is_alike: bool = True
    """Whether what nothing has gets the very same answer; not where that tells of what was made, or begins at a mark.

    A mark is a place between rows and names none: another one gives another stretch of the same list.
    """
    is_fragment: bool = False


def read(path: str, refused: int | None = None, **more: Any) -> Row:
    return Row(path=path, refused=refused, **{"shows": True, **more})


def mark(path: str, **more: Any) -> Row:
    return Row(path=path, is_alike=False, **more)


def send(method: str, path: str, body: Any = None, refused: int | None = None, **more: Any) -> Row:
    facts = {"changes": True, "is_alike": refused is not None, **more}
    return Row(path=path, method=method, body=body, refused=refused, **facts)


def post(path: str, body: Any = None, refused: int | None = None, **more: Any) -> Row:
    return send("POST", path, body, refused, **more)


def form(path: str, body: Any, **more: Any) -> Row:
    return post(path, body, is_alike=True, **more)


# --- Rows that follow from the matrices of paths -------------------------------------------------------------

OF_PATHS = {
    "native": {"id": ("session_id", "session"), "command": ("command_id", "command"),
               "checkpoint": ("checkpoint_id", "checkpoint")},
    "stakpak": {"session": ("session_id", "session"), "checkpoint": ("checkpoint_id", "checkpoint")},
}  # fmt: skip
"""By what the matrices of permissions call an id in a path: the parameter, and what it is here."""
OF_PAGES = {
    "web:signal": "key_pk", "web:revoke": "key_pk", "web:webhook": "webhook", "web:try-webhook": "webhook",
    "web:renew-secret": "webhook", "web:remove-webhook": "webhook", "web:answer": "request",
    "web:message": "message", "web:value": "metadata", "web:tool": "tool",
    "web:fork": "checkpoint_seq", "web:event": "event_seq", "web:receipt": "receipt",
}  # fmt: skip
"""What the number, or the one id, in a page's path is."""


def _of_operations() -> Iterator[tuple[str, Row]]:
    for door, words in OF_PATHS.items():
        for name, (method, path, body, _) in CONTRACTS[f"api-{door}"].RULES.items():
            for word in (word for word in words if f"{{{word}}}" in path):
                parameter, thing = words[word]
                filled = ROOTS[door] + path.replace(f"{{{word}}}", f"{{its.{thing}}}")
                yield f"{door} {name} path.{parameter}", Row(path=filled, method=method, body=body, refused=404)
    for name, (method, path, body, _, expected) in CONTRACTS["api-zeroclaw"].RULES.items():
        if "/sessions/k" in path:
            refused = 404 if expected is None else None
            filled = path.replace("/sessions/k", "/sessions/{its.key}")
            yield f"zeroclaw {name} path.key", Row(path=filled, method=method, body=body, refused=refused)


def _of_pages() -> Iterator[tuple[str, Row]]:
    for name, route in ALL:
        if name not in PAGES or "<" not in route:
            continue
        method, body, _ = PAGES[name]
        thing = OF_PAGES.get(name, "session")
        path = re.sub(r"<int:\w+>", f"{{its.{thing}}}", f"/{route}")
        uuid = "receipt" if thing == "receipt" else "session"
        whole = path.replace("<uuid:uuid>", f"{{its.{uuid}}}")
        for parameter in re.findall(r"<\w+:(\w+)>", route):
            its = whole if parameter == "uuid" else path.replace("<uuid:uuid>", "{mine.session}")
            yield f"{name} path.{parameter}", Row(path=its, method=method, body=body, refused=404)


# --- The native API ------------------------------------------------------------------------------------------

MINE = "/api/v1/sessions/{mine.session}"
NATIVE = {
    "create_session body.id": post(  # one that is taken cannot be used, whoever has it
        "/api/v1/sessions", {"agent_name": "koda", "id": "{its.session}"}, 409, own=409, changes=False, is_alike=False
    ),
    "create_session body.key": post(
        "/api/v1/sessions", {"agent_name": "koda", "key": "{its.key}"}, own=409, changes=False
    ),
    "create_session body.parent_id": post("/api/v1/sessions", {"agent_name": "a", "parent_id": "{its.session}"}, 422),
    "create_session body.parent_tool_call_id": post(
        "/api/v1/sessions",
        {"agent_name": "koda", "parent_id": "{mine.session}", "parent_tool_call_id": "{its.call}"},
    ),
    "list_sessions query.parent_id": read("/api/v1/sessions?parent_id={its.session}"),
    "list_sessions query.key": read("/api/v1/sessions?key={its.key}"),
    "list_sessions query.source": read("/api/v1/sessions?source={its.source}"),
    "list_sessions query.agent_name": read("/api/v1/sessions?agent_name={its.agent}"),
    "list_sessions query.project_root": read("/api/v1/sessions?project_root={its.project}"),
    "list_sessions query.q": read("/api/v1/sessions?q={its.word}"),
    "list_sessions query.cursor": mark("/api/v1/sessions?cursor={its.list_mark}"),
    "list_running_sessions query.cursor": mark("/api/v1/sessions/running?cursor={its.running_mark}"),
    "list_stuck_sessions query.cursor": mark("/api/v1/sessions/stuck?threshold_secs=0&cursor={its.stuck_mark}"),
    "fork_session body.message_id": post(f"{MINE}/fork", {"message_id": "{its.message}"}, 422),
    "fork_session body.checkpoint_id": post(f"{MINE}/fork", {"checkpoint_id": "{its.checkpoint}"}, 422),
    "append_messages body.client_id": post(
        f"{MINE}/messages", {"role": "user", "content": "x", "client_id": "{its.client_id}"}, changes=False
    ),
    "append_messages body.messages.client_id": post(
        f"{MINE}/messages", {"messages": [{"role": "user", "client_id": "{its.client_id}"}]}, changes=False
    ),
    "append_messages body.tool_call_id": post(
        f"{MINE}/messages", {"role": "tool", "content": "done", "tool_call_id": "{its.open_call}"}
    ),
    "append_messages body.messages.tool_call_id": post(
        f"{MINE}/messages", {"messages": [{"role": "tool", "content": "done", "tool_call_id": "{its.open_call}"}]}
    ),
    "append_messages body.tool_calls": post(
        f"{MINE}/messages", {"role": "assistant", "tool_calls": [{"id": "{its.open_call}", "function_name": "Bash"}]}
    ),
    "append_messages body.messages.tool_calls": post(
        f"{MINE}/messages",
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "{its.open_call}", "function_name": "Bash"}]}]},
    ),
    "list_messages query.after": mark(f"{MINE}/messages?after={{its.message}}"),
    "list_messages query.before": mark(f"{MINE}/messages?before={{its.message}}", shows=True),
    "list_messages query.cursor": mark(f"{MINE}/messages?cursor=before:{{its.message}}", shows=True),
    "list_recent_messages query.cursor": mark("/api/v1/messages/recent?cursor={its.recent_mark}", shows=True),
    "search query.q": read("/api/v1/search?q={its.word}"),
    "search query.agent_name": read("/api/v1/search?q={mine.word}&agent_name={its.agent}"),
    "search query.project_root": read("/api/v1/search?q={mine.word}&project_root={its.project}"),
    "search query.tool": read("/api/v1/search?q={mine.word}&tool={its.tool_name}"),
    "search query.source": read("/api/v1/search?q={mine.word}&source={its.source}"),
    "search query.cursor": mark("/api/v1/search?q={mine.word}&cursor={its.search_mark}", shows=True),
    "ingest_events body.events.type": post(
        f"{MINE}/events", {"events": [{"type": "server.messages_added", "message_ids": ["{its.message}"]}]},
        422, own=422, changes=False,
    ),
    "ingest_events body.events.event_id": post(
        f"{MINE}/events", {"events": [{"type": "info", "event_id": "{its.event_id}"}]}, changes=False
    ),
    "ingest_events body.events.turn_id": post(
        f"{MINE}/events", {"events": [{"type": "turn_end", "turn_id": "{its.turn}", "reason": {"kind": "complete"}}]},
        422,
    ),
    "ingest_events body.events.id": post(
        f"{MINE}/events",
        {"events": [{"type": "tool_call_result", "id": "{its.open_call}", "name": "Bash", "output": "done"},
                    {"type": "approval_request", "id": "{its.request_id}", "tool_name": "Bash", "detail": "x"}]},
    ),
    "list_events query.after": mark(f"{MINE}/events?after={{its.event_seq}}"),
    "list_events query.before": mark(f"{MINE}/events?before={{its.event_seq}}", shows=True),
    "list_events query.cursor": mark(f"{MINE}/events?cursor=before:{{its.event_seq}}", shows=True),
    "list_turns query.cursor": mark(f"{MINE}/turns?cursor={{its.turn_mark}}"),
    "set_state body.turn_id": send("PUT", f"{MINE}/state", {"state": "running", "turn_id": "{its.turn}"}),
    "ask_command body.id": post(
        f"{MINE}/commands",
        {"type": "approval_response", "id": "{its.request_id}", "decision": {"decision": "approve"}}, 404,
    ),
    "ask_command body.id of a question": post(
        f"{MINE}/commands", {"type": "ask_user_response", "id": "{its.question_id}", "answer": "this"}, 404
    ),
    "get_metadata path.key": read(f"{MINE}/metadata/{{its.metadata_key}}", 404),
    "set_metadata path.key": send("PUT", f"{MINE}/metadata/{{its.metadata_key}}", {"value": "x"}),
    "delete_metadata path.key": send("DELETE", f"{MINE}/metadata/{{its.metadata_key}}"),
    "list_files query.cursor": mark(f"{MINE}/files?cursor={{its.file_mark}}"),
    "add_file body.path": send("PUT", f"{MINE}/files", {"path": "{its.file}"}, changes=False),
    "delete_file body.path": send("DELETE", f"{MINE}/files", {"path": "{its.file}"}),
    "list_checkpoints query.after": mark(f"{MINE}/checkpoints?after={{its.checkpoint_seq}}"),
    "list_checkpoints query.before": mark(f"{MINE}/checkpoints?include_state=1&before={{its.checkpoint_seq}}",
                                          shows=True),
    "list_checkpoints query.cursor": mark(f"{MINE}/checkpoints?cursor=before:{{its.checkpoint_seq}}"),
    "create_checkpoint body.parent_id": post(
        f"{MINE}/checkpoints", {"state": {"messages": []}, "parent_id": "{its.checkpoint}"}, 422
    ),
    "compare_checkpoints path.checkpoint_id against one's own": read(
        "/api/v1/checkpoints/{its.checkpoint}/diff?against={mine.checkpoint}", 404, shows=False
    ),
    "compare_checkpoints query.against": read(
        "/api/v1/checkpoints/{mine.checkpoint}/diff?against={its.checkpoint}", 404, shows=False
    ),
    "stats query.agent_name": read("/api/v1/stats?agent_name={its.agent}"),
    "stats query.project_root": read("/api/v1/stats?project_root={its.project}"),
    "stats query.source": read("/api/v1/stats?source={its.source}", shows=False),
    "purge body.source": post(
        "/api/v1/purges", {"policy": "stale", "ttl_hours": 0, "force": True, "include_running": True,
                           "source": "{its.source}"},
    ),
    "purge body.project_root": post(
        "/api/v1/purges", {"policy": "stale", "ttl_hours": 0, "force": True, "include_running": True,
                           "project_root": "{its.project}"},
    ),
    "list_purges query.cursor": mark("/api/v1/purges?cursor={its.purge_mark}"),
}  # fmt: skip

# --- ZeroClaw's and Stakpak's --------------------------------------------------------------------------------

OTHER_DOORS = {
    "zeroclaw append body.client_id": post(
        "/api/zeroclaw/sessions/{mine.key}/messages",
        {"role": "user", "content": "x", "client_id": "{its.client_id}"},
        changes=False,
    ),
    "zeroclaw set_session_state body.turn_id": send(
        "PUT", "/api/zeroclaw/sessions/{mine.key}/state", {"state": "running", "turn_id": "{its.turn}"}
    ),
    "zeroclaw list_sessions query.keyword": read("/api/zeroclaw/sessions?keyword={its.word}"),
    "stakpak list_sessions query.search": read("/v1/sessions?search={its.title}"),
    "stakpak create_checkpoint body.parent_id": post(
        "/v1/sessions/{mine.session}/checkpoints", {"state": {"messages": []}, "parent_id": "{its.checkpoint}"}, 400
    ),
}

# --- Pages ---------------------------------------------------------------------------------------------------

PAGE = "/sessions/{mine.session}"
PURGE = {"policy": "stale", "age": "1", "include_running": "1"}
BULK = {"action": "delete", "is_confirmed": "1", "top": "9000000000"}
WEB = {
    "web:wall ?q": read("/?q={its.word}"),
    "web:wall ?agent": read("/?agent={its.agent}"),
    "web:wall ?project": read("/?project={its.project}"),
    "web:wall ?source": read("/?source={its.source}"),
    "web:sessions ?q": read("/sessions/?q={its.word}"),
    "web:sessions ?agent": read("/sessions/?agent={its.agent}"),
    "web:sessions ?project": read("/sessions/?project={its.project}"),
    "web:sessions ?source": read("/sessions/?source={its.source}"),
    "web:sessions ?after": mark("/sessions/?after={its.list_mark}"),
    "web:sessions ?before": mark("/sessions/?before={its.list_mark}"),
    "web:search ?q": read("/search/?q={its.word}"),
    "web:search ?agent": read("/search/?q={mine.word}&agent={its.agent}"),
    "web:search ?project": read("/search/?q={mine.word}&project={its.project}"),
    "web:search ?tool": read("/search/?q={mine.word}&tool={its.tool_name}"),
    "web:search ?source": read("/search/?q={mine.word}&source={its.source}"),
    "web:search ?cursor": mark("/search/?q={mine.word}&cursor={its.search_mark}", shows=True),
    "web:figures ?agent": read("/figures/?agent={its.agent}"),
    "web:figures ?project": read("/figures/?project={its.project}"),
    "web:figures ?source": read("/figures/?source={its.source}"),
    "web:storage ?source": read("/storage/?policy=stale&age=1&source={its.source}"),
    "web:storage ?project": read("/storage/?policy=stale&age=1&project={its.project}"),
    "web:purge ?source": form("/storage/purge/", {**PURGE, "source": "{its.source}", "confirm": "1"}),
    "web:purge ?project": form("/storage/purge/", {**PURGE, "project": "{its.project}", "confirm": "2"}),
    "web:inbox ?open_after": mark("/inbox/?open_after={its.open_mark}"),
    "web:inbox ?open_before": mark("/inbox/?open_before={its.open_mark}"),
    "web:inbox ?past_after": mark("/inbox/?past_after={its.past_mark}"),
    "web:inbox ?past_before": mark("/inbox/?past_before={its.past_mark}"),
    "web:inbox ?ask": form("/inbox/", {"action": "approve", "ask": ["{its.request}"]}),
    "web:bulk ?pick": form("/sessions/bulk/", {**BULK, "pick": ["{its.session}"]}),
    "web:bulk ?pick before it is confirmed": form(
        "/sessions/bulk/", {"action": "public", "pick": ["{its.session}"]}, changes=False
    ),
    "web:bulk ?after": form("/sessions/bulk/", {**BULK, "after": "0", "pick": ["{its.session}", "{its.child}"]}),
    "web:bulk ?q": form("/sessions/bulk/", {**BULK, "all": "1", "q": "{its.word}"}),
    "web:bulk ?source": form("/sessions/bulk/", {**BULK, "action": "public", "all": "1", "source": "{its.source}"}),
    "web:connect ?key": read("/connect/?key={its.key_pk}", 404),
    "web:connect ?source": post(
        "/connect/", {"name": "n", "agent": "koda", "scopes": ["read"], "source": "{its.source}"}
    ),
    "web:session ?at": mark(f"{PAGE}/?at={{its.message}}", shows=True),
    "web:session ?before": mark(f"{PAGE}/?before={{its.message}}", shows=True),
    "web:session ?after": mark(f"{PAGE}/?after={{its.message}}", shows=True),
    "web:session ?find": read(f"{PAGE}/?find={{its.word}}"),
    "web:session ?before of the timeline": mark(f"{PAGE}/?tab=timeline&before={{its.message}}", shows=True),
    "web:session ?before of usage": mark(f"{PAGE}/?tab=usage&before={{its.message}}", shows=True),
    "web:session ?before of files": mark(f"{PAGE}/?tab=files&before={{its.message}}", shows=True),
    "web:session ?before of metadata": mark(f"{PAGE}/?tab=metadata&before={{its.metadata}}", shows=True),
    "web:session ?before of events": mark(f"{PAGE}/?tab=events&before={{its.event_seq}}", shows=True),
    "web:messages ?before": mark(f"{PAGE}/messages/?before={{its.message}}", is_fragment=True, shows=True),
    "web:messages ?after": mark(f"{PAGE}/messages/?after={{its.message}}", is_fragment=True),
    "web:messages ?at": mark(f"{PAGE}/messages/?at={{its.message}}", is_fragment=True, shows=True),
    "web:find ?find": read(f"{PAGE}/find/?find={{its.word}}", is_fragment=True),
    "web:events ?before": mark(f"{PAGE}/events/?before={{its.event_seq}}", is_fragment=True, shows=True),
    "web:events ?after": mark(f"{PAGE}/events/?after={{its.event_seq}}", is_fragment=True),
    "web:fork-session ?at": read(f"{PAGE}/fork/?at={{its.message}}", 404),
    "web:fork-session ?at by POST": post(f"{PAGE}/fork/?at={{its.message}}", refused=404),
    "web:checkpoints ?before": mark(f"{PAGE}/checkpoints/?before={{its.checkpoint_seq}}", shows=True),
    "web:checkpoints ?from": read(f"{PAGE}/checkpoints/?from={{its.checkpoint_seq}}&to={{mine.checkpoint_seq}}", 404),
    "web:checkpoints ?to": read(f"{PAGE}/checkpoints/?from={{mine.checkpoint_seq}}&to={{its.checkpoint_seq}}", 404),
}  # fmt: skip

TABLE: dict[str, Row] = {
    **dict(_of_operations()),
    **dict(_of_pages()),
    **{f"native {place}": row for place, row in NATIVE.items()},
    **OTHER_DOORS,
    **WEB,
}

SAYS = (
    "* query.limit", "* query.offset", "* query.order", "* query.state", "* query.status", "* query.visibility",
    "* query.role", "* query.view", "* query.days", "* query.threshold_secs", "* query.keys_only", "* query.wait",
    "* query.include_state", "* query.format", "* query.liveness", "* query.needs", "* query.permanent",
    "native search query.after", "native search query.before",  # times
    "* body.title", "* body.name", "* body.mode", "* body.model", "* body.provider", "* body.visibility", "* body.cwd",
    "* body.state", "* body.content", "* body.role", "* body.value", "* body.summary",
    "* body.preserve_count", "* body.stuck_after_secs", "* body.dry_run", "* body.force", "* body.include_running",
    "* body.ttl_hours", "* body.older_than_days", "* body.min_age_days", "* body.policy", "* body.obeyed",
    "* body.detail", "* body.activity", "* body.interval", "* body.progress", "* body.expect_within",
    "native create_session body.agent_name", "native create_session body.project_root", "native ask_command body.type",
    "native append_messages body.*usage.*", "native append_messages body.*created_at",
    "native append_messages body.messages.content", "native append_messages body.messages.role",
    "native append_messages body.*agent_name", "native ingest_events body.events.at",
)  # fmt: skip
"""Parameters that say something and name nothing that is there."""
FREE = {"native ingest_events body.events.id", "native ask_command body.id"}
"""Fields that no schema has: events and commands are kept as they are sent."""
WORDS_THAT_SAY = {
    "action", "age", "all", "archived", "choice", "confirm", "days", "density", "done", "ends", "first", "format",
    "include_running", "is_confirmed", "is_enabled", "keep", "kinds", "liveness", "name", "next", "notifies", "part",
    "policy", "prompt", "quiet_minutes", "role", "scopes", "seen", "since", "sort", "state", "summary", "tab", "theme",
    "title", "top", "total", "until", "url", "username", "visibility", "words",
}  # fmt: skip
"""The same in addresses and forms of pages."""
