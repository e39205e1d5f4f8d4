"""The API object of this contract, with its routes and its description."""

from django.http import HttpRequest

from sessions.api.described import DescribedAPI
from sessions.api.json_format import JsonParser
from sessions.api.native.routers import (
    checkpoints,
    commands,
    compaction,
    figures,
    findings,
    messages,
    purges,
    records,
    search,
    sessions,
    turns,
)

DESCRIPTION = """
Keeps the sessions of coding agents and shows them live.

Send `Authorization: Bearer <key>`; `manage.py createapikey` makes keys. Errors are problem details (RFC 9457):
branch on `code`.
A 2xx means committed. Any POST may carry an `Idempotency-Key`: the same key, path and body replays the stored answer.
"""


class NativeParser(JsonParser):
    """Reads bodies; of a checkpoint's the numbers keep their text."""

    def is_exact_for(self, request: HttpRequest) -> bool:
        """Say whether it is a checkpoint's."""
        return request.resolver_match is not None and request.resolver_match.url_name == checkpoints.EXACT


_NOUNS = (
    sessions, messages, search, turns, commands, findings, records, checkpoints, figures, compaction, purges
)  # fmt: skip

api = DescribedAPI(
    title="Koda Web",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api-native",
    parser=NativeParser(),
    routers=[noun.router for noun in _NOUNS],
)
