"""Errors that only HTTP knows: what is wrong with a request before anybody looks at what it says."""

from sessions.exceptions import InvalidRequest


class Unreadable(InvalidRequest):
    """The request or its body is not what it says it is; nothing in it could be looked at."""


class UnsupportedType(InvalidRequest):
    """The body has a type or an encoding that this server does not read."""


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not for this method."""
