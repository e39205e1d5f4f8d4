"""Plain Daphne that keeps the last body and answers with it: what a step of Stakpak costs on its way alone.

Nothing is read in a body, nothing is stored.
"""

import json
from typing import Any

BEGUN = json.dumps({"session_id": "echo"}).encode()

_last = b""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer a new session with its id, and all else with the last body that came."""
    global _last  # noqa: PLW0603 - this module is the server
    parts, is_more = [], True
    while is_more:
        message = await receive()
        parts.append(message.get("body", b""))
        is_more = message.get("more_body", False)
    _last = b"".join(parts) or _last
    answer = BEGUN if scope["path"] == "/v1/sessions" else _last
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
