"""What the server itself answers when a request does not get as far as Django.

Each door has its own form of an error, so the path decides the form: problem details (RFC 9457) for the
API, Stakpak's envelope below ``/v1/``, a short text for pages.
"""

import json
import re
from dataclasses import dataclass

from sessions.live.asgi_types import Send

_REPEATED_SLASHES = re.compile(r"/{2,}")
_WORDS_OF_OTHER_KINDS = ("400", "401", "429")
"""Stakpak's client looks for these anywhere in a message and takes it for another kind of error."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One reason for which a request goes no further."""

    status: int
    code: str
    title: str
    detail: str
    retry_after: int | None = None
    """Seconds, when it is worth coming back."""
    is_always_problem: bool = False
    """Whether a path that belongs to no API gets problem details too."""


BUSY = Refusal(
    status=503,
    code="unavailable",
    title="Service Unavailable",
    detail="The server is busy. Try again in a second.",
    retry_after=1,
)
STOPPING = Refusal(
    status=503,
    code="unavailable",
    title="Service Unavailable",
    detail="The server is stopping. Try again in a moment.",
    retry_after=2,
)
BROKEN = Refusal(
    status=500,
    code="internal",
    title="Internal Server Error",
    detail="Internal error of the server; its log has the reason.",
)


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body of more than `limit` bytes."""
    return Refusal(
        status=413,
        code="too_large",
        title="Content Too Large",
        detail=f"The body is larger than the limit of {_in_words(limit)}.",
        is_always_problem=True,
    )


def malformed(detail: str) -> Refusal:
    """Return the refusal of a request that HTTP does not allow."""
    return Refusal(status=400, code="invalid_request", title="Bad Request", detail=f"invalid request: {detail}")


def render(refusal: Refusal, *, path: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of the refusal in the form of the door that `path` belongs to."""
    path = _REPEATED_SLASHES.sub("/", path)
    if path in {"/v1", "/v2"} or path.startswith(("/v1/", "/v2/")):
        kind = "application/json"
        body = json.dumps({"error": {"key": refusal.code, "message": refusal.detail}})
    elif path.startswith("/api/") or refusal.is_always_problem:
        kind = "application/problem+json"
        body = json.dumps(_problem(refusal))
    else:
        kind = "text/plain; charset=utf-8"
        body = f"{refusal.detail}\n"
    encoded = body.encode()
    headers = [
        (b"Content-Type", kind.encode()),
        (b"Content-Length", b"%d" % len(encoded)),
        (b"Cache-Control", b"no-store"),
    ]
    if refusal.retry_after is not None:
        headers.append((b"Retry-After", b"%d" % refusal.retry_after))
    return headers, encoded


async def send_refusal(refusal: Refusal, *, path: str, send: Send) -> None:
    """Answer one ASGI request with the refusal."""
    headers, body = render(refusal, path=path)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _problem(refusal: Refusal) -> dict[str, str | int]:
    return {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }


def _in_words(size: int) -> str:
    """Return a number of bytes in a spelling that no client mistakes for a status code."""
    spellings = [f"{size} bytes", f"{size:,} bytes", f"{size / 1024:.1f} KiB", f"{size / 1024**2:.2f} MiB"]
    if size % 1024**2 == 0:
        spellings.insert(0, f"{size // 1024**2} MiB")
    harmless = (text for text in spellings if not any(word in text for word in _WORDS_OF_OTHER_KINDS))
    return next(harmless, "this server")
