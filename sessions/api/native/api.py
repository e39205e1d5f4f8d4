"""The API object of this contract, with its routes and its description."""

from sessions.api import idempotency, problems
from sessions.api.auth import KeyOrBrowser
from sessions.api.described import DescribedAPI
from sessions.api.json_format import JsonParser, JsonRenderer
from sessions.api.native.routers import (
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

api = DescribedAPI(
    title="Koda Web",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api-native",
    auth=KeyOrBrowser(),
    parser=JsonParser(),
    renderer=JsonRenderer(),
)
problems.install(api)
idempotency.install(api)
for _noun in (sessions, messages, search, turns, commands, findings, records, figures, compaction, purges):
    api.add_router("", _noun.router)
