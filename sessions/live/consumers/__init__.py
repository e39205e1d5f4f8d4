"""Consumers: each lets its caller in, says where it stands, and passes on what the hub has. They decide nothing."""

from sessions.live.consumers.inbox import InboxPage
from sessions.live.consumers.pages import BoardPage, SessionPage
from sessions.live.consumers.programs import BoardProgram, SessionProgram

__all__ = ["BoardPage", "BoardProgram", "InboxPage", "SessionPage", "SessionProgram"]
