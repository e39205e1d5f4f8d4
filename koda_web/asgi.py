"""The application as an ASGI server sees it: agents take the short way, other HTTP goes to Django, sockets go live."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from koda_web.request_ids import RequestIds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

_http = get_asgi_application()  # loads the models, so it comes before everything that uses them

from django.conf import settings  # noqa: E402 - see above

from sessions.live.routing import websocket  # noqa: E402
from sessions.live.short_way import ShortWay  # noqa: E402

_router = ProtocolTypeRouter({"http": _http, "websocket": websocket})
application = RequestIds(ShortWay(_router, queued=settings.KODA_QUEUED_REQUESTS))
