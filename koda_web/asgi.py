"""The application as an ASGI server sees it: HTTP to Django, sockets to the live door."""

import os
from importlib.util import find_spec

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from koda_web.request_ids import RequestIds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

_doors = {"http": get_asgi_application()}  # loads the models, so it comes before anything that uses them

if find_spec("sessions.live.routing"):
    from sessions.live.routing import websocket

    _doors["websocket"] = websocket

application = RequestIds(ProtocolTypeRouter(_doors))
