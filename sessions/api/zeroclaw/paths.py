"""Keys in paths: any text is one, a slash and two dots too, so the path must be read as it was sent.

Frameworks decode a path before they look where it leads; `%2F` in a key would then part it. So below this contract's
prefix the path is kept encoded until a route has found its key.
"""

from urllib.parse import quote, unquote_to_bytes

from django.http import HttpRequest
from django.urls import register_converter

from sessions.api.rewriting import rewriting

PREFIX = "/api/zeroclaw/"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def _encode(request: HttpRequest) -> None:
    if request.path_info.startswith(PREFIX):
        raw = getattr(request, "scope", {}).get("raw_path")
        request.path_info = encoded_path(request.path_info, raw=raw)


keep_keys_encoded = rewriting(_encode)
"""Django middleware that lets paths of this contract be matched before they are decoded."""


def encoded_path(path: str, *, raw: bytes | None) -> str:
    """Return a path of this contract as it was sent, in ASCII; a server that does not tell it has `path` encoded anew.

    In that case a slash in a key cannot be told from one between parts of the path.
    """
    _, mark, rest = (raw or b"").partition(PREFIX.encode())
    if not mark:
        return quote(path, safe="/")
    return PREFIX + quote(rest, safe=_PRINTABLE)


def decoded_key(part: str) -> str:
    """Return the key that a part of an encoded path is. Raises `ValueError` when it is no UTF-8."""
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise ValueError("must be percent-encoded UTF-8") from None


class EncodedKey:
    """The part of a path in which a key stands: anything, an unencoded slash too, since no other part may follow."""

    regex = ".*"

    def to_python(self, value: str) -> str:
        """Return it as it stands there."""
        return value

    def to_url(self, value: str) -> str:
        """Return a key as it stands in a path."""
        return quote(value, safe="")


register_converter(EncodedKey, "zeroclaw_key")
