"""The application as an ASGI server sees it: agents take the short way, other HTTP goes to Django, sockets go live."""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from koda_web.request_ids import Receive, RequestIds, Scope, Send

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

_waiting = get_asgi_application()  # loads the models, so it comes before everything that uses them

from django.conf import settings  # noqa: E402 - see above

from koda_web.handler import OneVisitHandler  # noqa: E402
from sessions.live.admission import is_waiting  # noqa: E402
from sessions.live.routing import websocket  # noqa: E402
from sessions.live.short_way import ShortWay  # noqa: E402

_working = OneVisitHandler()


async def _http(scope: Scope, receive: Receive, send: Send) -> None:
    """Let what mostly waits pass Django's async chain, which holds no thread meanwhile, and all else the sync one."""
    is_for_the_loop = is_waiting(scope) or scope["path"].startswith(settings.STATIC_URL)
    handler: Any = _waiting if is_for_the_loop else _working
    await handler(scope, receive, send)


_router = ProtocolTypeRouter({"http": _http, "websocket": websocket})
application = RequestIds(ShortWay(_router, queued=settings.KODA_QUEUED_REQUESTS))
