"""Paths of this contract: the client joins its endpoint and a path as they are, so slashes may come twice.

It follows redirects by turning POST into GET, so there are none: such a path is read as what it means.
"""

import re

_OURS = re.compile(r"/+v[12](?:/|\Z)")
_SLASHES = re.compile(r"/{2,}")


def is_stakpak_path(path: str) -> bool:
    """Say whether a path belongs to this contract; its client asks for some things below `/v2/`, too."""
    return _OURS.match(path) is not None


def plain_path(path: str) -> str:
    """Return a path of this contract without doubled slashes and without one at its end."""
    return _SLASHES.sub("/", path).rstrip("/")
