"""`Idempotency-Key`: a repeated POST gets the answer of the first, and acts no second time.

Claim, act and answer are one transaction. So a crash loses all three together, and of two that come at once the second
waits for the first. What failed stored nothing and is not kept: its repeat is tried anew.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI

from sessions.api.auth import Caller, authenticate
from sessions.exceptions import Conflict, InvalidRequest, KodaError
from sessions.models import StoredAnswer
from sessions.models.fields import require_name

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST_KEY = 255

Run = Callable[..., Any]


def install(api: NinjaAPI) -> None:
    """Let every POST of `api` honour the header."""

    def honour(run: Run) -> Run:
        @wraps(run)
        def run_once(request: HttpRequest, **kwargs: Any) -> Any:
            if request.method != "POST" or HEADER not in request.headers:
                return run(request, **kwargs)
            try:
                caller = authenticate(request)
            except KodaError:
                return run(request, **kwargs)  # which answers that nobody is known to call
            try:
                return _answer_once(request, caller, lambda: run(request, **kwargs))
            except Exception as error:  # noqa: BLE001 - the API object translates, as it does for its handlers
                return api.on_exception(request, error)

        return run_once

    api.add_decorator(honour, mode="view")


def _answer_once(request: HttpRequest, caller: Caller, run: Callable[[], HttpResponse]) -> HttpResponse:
    """Return the kept answer of an equal request, or run this one and keep its answer. Raises `Conflict`."""
    key = _read_key(request)
    digest = hashlib.sha256(request.body).hexdigest()
    with transaction.atomic():
        kept = StoredAnswer.objects.claim(
            key, user=caller.user, api_key=caller.key, path=request.get_full_path(), body_digest=digest
        )
        if not kept.is_open:
            return _replay(kept, path=request.get_full_path(), digest=digest)
        response = run()
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            transaction.set_rollback(True)
            return response
        kept.fill(status=response.status_code, body=response.content.decode(), content_type=response["Content-Type"])
    return response


def _read_key(request: HttpRequest) -> str:
    """Return the header. Raises `InvalidRequest`."""
    key = request.headers[HEADER]
    if not key or len(key) > LONGEST_KEY:
        raise InvalidRequest.field(HEADER, f"must have 1 to {LONGEST_KEY} characters")
    return require_name(HEADER, key)


def _replay(kept: StoredAnswer, *, path: str, digest: str) -> HttpResponse:
    """Return the kept answer again. Raises `Conflict` when it answered something else."""
    if (kept.path, kept.body_digest) != (path, digest):
        raise Conflict(f"This {HEADER} was used for another request.")
    return HttpResponse(
        kept.body.encode(), status=kept.status, content_type=kept.content_type, headers={REPLAYED: "true"}
    )
