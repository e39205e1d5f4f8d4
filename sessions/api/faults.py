"""Errors that only HTTP knows: what is wrong with a request before anybody looks at what it says."""

from sessions.exceptions import InvalidRequest


class UnsupportedType(InvalidRequest):
    """The body has a type or an encoding that this server does not read."""


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not for this method."""
