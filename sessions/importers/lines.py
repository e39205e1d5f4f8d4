"""Bytes of a growing JSON-lines file to objects: whole lines only, and no line can raise."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from sessions.exceptions import InvalidRequest
from sessions.importers.fields import JsonObject
from sessions.importers.records import Tally
from sessions.models.fields import is_deeper

_DECODER = json.JSONDecoder()
_DEEPEST = 400
"""Levels of a line's arrays and objects. What is read deeper could not be written again where code stands deeper."""
_OTHER_ENCODINGS = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
TOO_LONG = b"\n"
"""What stands for a line that is too long: no line has a newline in it."""


@dataclass(slots=True)
class LineSplitter:
    """Cuts bytes into lines and keeps a last, unfinished one until its newline comes.

    Of a line of more than `longest` bytes nothing is kept: `TOO_LONG` comes in its place.
    """

    longest: int
    rest: bytearray = field(default_factory=bytearray)
    _is_too_long: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newline."""
        *ends, last = data.split(b"\n")
        lines = []
        for end in ends:
            self._add(end)
            lines += [self._take()]
        self._add(last)
        return lines

    def finish(self) -> list[bytes]:
        """Return the unfinished line, if any, as a line: the file ends without a newline."""
        last = self._take()
        return [last] if last == TOO_LONG or last.strip() else []

    def _add(self, piece: bytes) -> None:
        """Let the last line go on."""
        self._is_too_long = self._is_too_long or len(self.rest) + len(piece) > self.longest
        if self._is_too_long:
            self.rest = bytearray()
        else:
            self.rest += piece

    def _take(self) -> bytes:
        """Return the last line, and begin the next."""
        line = TOO_LONG if self._is_too_long else bytes(self.rest)
        self.rest, self._is_too_long = bytearray(), False
        return line


def in_utf8(head: bytes) -> bytes:
    """Return how a file of lines begins in UTF-8, whichever of Unicode's encodings it is written in."""
    encoding = _encoding_of(head)
    return head.decode(encoding, errors="replace").encode() if encoding else head


def require_utf8(head: bytes) -> None:
    """Raise `InvalidRequest` when a file of lines that begins with `head` is written in UTF-16 or UTF-32."""
    if encoding := _encoding_of(head):
        family = encoding[:6].upper()
        msg = f"It is written in {family}, and a transcript in UTF-8. iconv -f {family} -t UTF-8 makes it one."
        raise InvalidRequest(msg)


def _encoding_of(head: bytes) -> str | None:
    """Return in which other encoding than UTF-8 an object, or a byte order mark, stands at the beginning."""
    return next((one for one in _OTHER_ENCODINGS if head.startswith(("\ufeff".encode(one), "{".encode(one)))), None)


def objects(line: bytes, *, tally: Tally) -> Iterator[JsonObject]:
    """Yield the JSON objects of one line, normally one; count the line, and count it as bad when it is anything else.

    A line which holds several objects in a row (two writers at once) is bad by the rule of one object a line; its
    objects are yielded nevertheless. Bytes that are not UTF-8 become U+FFFD, and the line is noted. Never raises.
    """
    tally.lines += 1
    if line == TOO_LONG:
        tally.bad_lines.append(tally.lines)
        tally.long_lines.append(tally.lines)
        return
    text, is_garbled = decoded(line)
    text = text.strip("\ufeff \t\r\n\x00")
    if not text:
        return
    found = _decoded(text)
    if len(found) != 1:
        tally.bad_lines.append(tally.lines)
    if len(found) > 1:
        tally.split_lines.append(tally.lines)
    if found and is_garbled:
        tally.garbled_lines.append(tally.lines)
    yield from found


def decoded(line: bytes) -> tuple[str, bool]:
    """Return the text of a line, bytes that are not UTF-8 as U+FFFD, and whether there are any."""
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        return line.decode(errors="replace"), True


def _decoded(text: str) -> list[JsonObject]:
    """Return all objects that stand in `text` one after the other; none when any part of it is something else."""
    found: list[JsonObject] = []
    at = 0
    is_long = text.count("[") + text.count("{") > _DEEPEST
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        if not isinstance(value, dict) or (is_long and is_deeper(value, _DEEPEST)):
            return []
        found.append(value)
        while at < len(text) and text[at] in " \t\r":
            at += 1
    return found
