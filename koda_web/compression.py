"""Pages go out compressed; what programs read does not.

An attacker who can choose a part of a compressed answer, and see its length, may guess what else is in it (BREACH).
Here the token against forged requests is masked anew in every answer, the cookie is never sent along from other sites
(SameSite), Django pads the compressed answer at random, and what shows a secret says `no-store` and is left as it is.
Agents are mostly on the same machine, where compressing would only cost time.
"""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class PageGZipMiddleware(GZipMiddleware):
    """Compresses HTML for browsers that accept it, but nothing that must not be kept."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response, compressed when it is a page."""
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if not is_page or response.streaming or "no-store" in response.headers.get("Cache-Control", ""):
            return response
        return super().process_response(request, response)
