"""Which consumer answers at which path. Pages come with cookies and an origin, programs with a key."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.urls import path, re_path

from sessions.live.asgi_types import Application
from sessions.live.consumers import BoardPage, BoardProgram, InboxPage, SessionPage, SessionProgram
from sessions.live.lanes import Lanes
from sessions.live.origins import SameOrigin, refuse


def _for_pages(application: Application) -> Any:
    return SameOrigin(AuthMiddlewareStack(application))


# Django's `path` is typed for views; Channels calls what stands there as an ASGI application.
_session_program: Any = SessionProgram.as_asgi()
_board_program: Any = BoardProgram.as_asgi()
_nowhere: Any = refuse

websocket: Application = Lanes(
    URLRouter(
        [
            path("ws/board/", _for_pages(BoardPage.as_asgi())),
            path("ws/inbox/", _for_pages(InboxPage.as_asgi())),
            path("ws/sessions/<uuid:session_id>/", _for_pages(SessionPage.as_asgi())),
            path("ws/api/v1/board/", _board_program),
            path("ws/api/v1/sessions/<uuid:session_id>/", _session_program),
            re_path("", _nowhere),
        ]
    )
)
