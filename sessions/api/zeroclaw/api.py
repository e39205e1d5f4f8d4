"""The API object of this contract, with its routes and its description."""

from sessions.api.described import DescribedAPI
from sessions.api.json_format import JsonParser
from sessions.api.zeroclaw.routers import messages, sessions, states

DESCRIPTION = """
ZeroClaw's SessionBackend, one route a method, in the meaning of version 0.6.9. Keys are those of the API key's source.

Send `Authorization: Bearer <key>`; `manage.py createapikey` makes keys. Errors are problem details (RFC 9457):
branch on `code`.
A 2xx means committed. Any POST may carry an `Idempotency-Key`: the same key, path and body replays the stored answer.
"""

api = DescribedAPI(
    title="Koda Web: ZeroClaw",
    version="0.6.9",
    description=DESCRIPTION,
    urls_namespace="api-zeroclaw",
    parser=JsonParser(),
    routers=(messages.router, states.router, sessions.router, sessions.single),
)
