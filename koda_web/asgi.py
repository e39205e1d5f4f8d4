"""The application as an ASGI server sees it: HTTP to Django, sockets to the live door."""

import os
from importlib.util import find_spec

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

_http = get_asgi_application()  # loads the models, so it comes before anything that uses them

if find_spec("sessions.live") and find_spec("sessions.live.routing"):
    from sessions.live.routing import websocket

    application = ProtocolTypeRouter({"http": _http, "websocket": websocket})
else:
    application = ProtocolTypeRouter({"http": _http})
