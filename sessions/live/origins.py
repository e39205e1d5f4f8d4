"""Same origin: a page's socket is accepted only from a page of this very server, its port included.

Cookies know no ports, so a page of any other program on this machine could otherwise open our sockets in its
visitor's name. Channels' own validator compares host names and leaves out the port.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from sessions.live.asgi_types import Application, Receive, Scope, Send

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_same_origin(origin: str, host: str) -> bool:
    """Say whether a page of `origin` (the Origin header) may open a socket on `host` (the Host header).

    The host must be one of ALLOWED_HOSTS: with DNS rebinding both headers name the attacker's. Missing, "null"
    and malformed headers are refused.
    """
    try:
        page = urlsplit(origin)
        page_port = page.port
    except ValueError:
        return False
    name, port = split_domain_port(host)
    if settings.SECURE_SSL_REDIRECT and page.scheme != "https":
        return False  # no page of ours is served without TLS: this one was put into the line
    if page.scheme not in _DEFAULT_PORTS or not page.hostname or not validate_host(name, settings.ALLOWED_HOSTS):
        return False
    default = _DEFAULT_PORTS[page.scheme]
    return (page.hostname, page_port or default) == (name.strip("[]"), int(port or default))


class SameOrigin:
    """ASGI middleware for sockets of pages: refuse the handshake (403) that another origin's page began."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a page of ours through."""
        headers = {name.lower(): value.decode("latin1") for name, value in scope["headers"]}
        if is_same_origin(headers.get(b"origin", ""), headers.get(b"host", "")):
            await self._application(scope, receive, send)
        else:
            await refuse(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI application
    """Answer a handshake without accepting it; the client sees 403."""
    await receive()
    await send({"type": "websocket.close"})
