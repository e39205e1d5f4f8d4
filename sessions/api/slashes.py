"""Slashes that come twice because a client joins its endpoint, which ends with one, and a path as they are."""

import re

from django.http import HttpRequest

from sessions.api.rewriting import rewriting
from sessions.api.stakpak.paths import is_stakpak_path, plain_path

_ROOT = re.compile(r"/{2,}(?=(?:api|healthz|metrics)(?:/|\Z))")
"""What stands before the path of a door for programs; further on a slash may be part of a key."""


def _straighten(request: HttpRequest) -> None:
    if is_stakpak_path(request.path_info):
        request.path_info, request.path = plain_path(request.path_info), plain_path(request.path)
    elif doubled := _ROOT.match(request.path_info):
        request.path_info = request.path = request.path_info[doubled.end() - 1 :]


forgive_slashes = rewriting(_straighten)
"""Django middleware, first of all, that reads paths for programs as they are meant."""
