"""The application as an ASGI server sees it: HTTP to Django, sockets to the live door."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from koda_web.request_ids import RequestIds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

_http = get_asgi_application()  # loads the models, so it comes before everything that uses them

from sessions.live.routing import websocket  # noqa: E402 - see above

application = RequestIds(ProtocolTypeRouter({"http": _http, "websocket": websocket}))
