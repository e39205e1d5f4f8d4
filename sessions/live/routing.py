"""Which consumer answers at which path. Pages come with cookies and an origin, programs with a key."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.urls import path, re_path

from sessions.live.asgi_types import Application
from sessions.live.consumers import BoardPage, BoardProgram, InboxPage, SessionPage, SessionProgram
from sessions.live.consumers.socket import Socket
from sessions.live.doorman import Doorman
from sessions.live.lanes import Lanes
from sessions.live.origins import SameOrigin, refuse

# Django's `path` is typed for views; Channels calls what stands there as an ASGI application.


def _for_pages(socket: type[Socket]) -> Any:
    return SameOrigin(Doorman(AuthMiddlewareStack(socket.as_asgi()), socket))


def _for_programs(socket: type[Socket]) -> Any:
    return Doorman(socket.as_asgi(), socket)


_nowhere: Any = refuse

websocket: Application = Lanes(
    URLRouter(
        [
            path("ws/board/", _for_pages(BoardPage)),
            path("ws/inbox/", _for_pages(InboxPage)),
            path("ws/sessions/<uuid:session_id>/", _for_pages(SessionPage)),
            path("ws/api/v1/board/", _for_programs(BoardProgram)),
            path("ws/api/v1/sessions/<uuid:session_id>/", _for_programs(SessionProgram)),
            re_path("", _nowhere),
        ]
    )
)
