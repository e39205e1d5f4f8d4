"""The API object of this contract, with its routes and its description."""

from sessions.api.described import DescribedAPI
from sessions.api.json_format import ExactJsonParser
from sessions.api.stakpak import envelope
from sessions.api.stakpak.routers import account, checkpoints, sessions, stats

DESCRIPTION = """
What the Stakpak agent's storage speaks: set `STAKPAK_API_ENDPOINT` to this server's address and `STAKPAK_API_KEY` to a
key of the scopes `read` and `write`.

Send `Authorization: Bearer <key>`; `manage.py createapikey --prefix stkpk_api` makes keys. An error is
`{"error": {"key", "message"}}`.
A 2xx means committed. Any POST may carry an `Idempotency-Key`: the same key, path and body replays the stored answer.
"""


class StakpakAPI(DescribedAPI):
    """Answers errors in the contract's own envelope."""

    error_type = envelope.CONTENT_TYPE


api = StakpakAPI(
    title="Koda Web: Stakpak",
    version="0.3.88",
    description=DESCRIPTION,
    urls_namespace="api-stakpak",
    parser=ExactJsonParser(),
    answer=envelope.envelope,
    routers=(account.router, checkpoints.router, stats.router, sessions.router),
)
