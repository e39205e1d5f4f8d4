"""Small pictures inside what tools give back: shown where they stand, nothing fetched for them."""

import base64
import binascii
import re
from dataclasses import dataclass

from django import template

from sessions.templatetags.ages import size
from sessions.templatetags.prose import HEAD

register = template.Library()

MOST = 4
"""Pictures that are shown of one output."""
_BYTES = rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP"
_BEGINS = re.compile(_BYTES, re.DOTALL)
_DATA_URL = re.compile(r"data:image/(png|jpeg|gif|webp);base64,([A-Za-z0-9+/]{16,}={0,2})(?![A-Za-z0-9+/=])")
_BLOCK = re.compile(
    r'"media_type"\s*:\s*"image/(png|jpeg|gif|webp)"[^{}]{0,80}?"data"\s*:\s*"([A-Za-z0-9+/]{16,}={0,2})"'
)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture as an address that holds it, and its words for who cannot see it."""

    url: str
    words: str


@register.filter
def small_images(text: str | None) -> list[Image]:
    """Return the pictures in an output: data URLs and content blocks. A longer output is not searched: it is cut.

    Only PNG, JPEG, GIF and WebP, and only what begins as such: a drawing (SVG) is a program.
    """
    if not text or len(text) > HEAD:
        return []
    found = [*_DATA_URL.findall(text), *_BLOCK.findall(text)][:MOST]
    return [image for kind, data in found if (image := _image(kind, data)) is not None]


def _image(kind: str, data: str) -> Image | None:
    try:
        held = base64.b64decode(data, validate=True)
    except binascii.Error:
        return None
    if not _BEGINS.match(held):
        return None
    return Image(f"data:image/{kind};base64,{data}", f"{kind.upper()} picture, {size(len(held))}")
