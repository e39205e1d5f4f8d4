"""Bytes of a growing JSON-lines file to objects: whole lines only, and no line can raise."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from sessions.importers.fields import JsonObject
from sessions.importers.records import Tally
from sessions.models.fields import is_deeper

_DECODER = json.JSONDecoder()
_DEEPEST = 400
"""Levels of a line's arrays and objects. What is read deeper could not be written again where code stands deeper."""


@dataclass(slots=True)
class LineSplitter:
    """Cuts bytes into lines and keeps a last, unfinished one until its newline comes."""

    rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newline."""
        self.rest += data
        if b"\n" not in data:
            return []
        *lines, last = bytes(self.rest).split(b"\n")
        self.rest = bytearray(last)
        return lines

    def finish(self) -> list[bytes]:
        """Return the unfinished line, if any, as a line: the file ends without a newline."""
        last, self.rest = bytes(self.rest), bytearray()
        return [last] if last.strip() else []


def objects(line: bytes, *, tally: Tally) -> Iterator[JsonObject]:
    """Yield the JSON objects of one line, normally one; count the line, and count it as bad when it is anything else.

    A line which holds several objects in a row (two writers at once) is bad by the rule of one object a line; its
    objects are yielded nevertheless. Bytes that are not UTF-8 become U+FFFD. Never raises.
    """
    tally.lines += 1
    text = line.decode("utf-8", errors="replace").strip("\ufeff \t\r\n\x00")
    if not text:
        return
    found = _decoded(text)
    if len(found) != 1:
        tally.bad_lines.append(tally.lines)
    if len(found) > 1:
        tally.split_lines.append(tally.lines)
    yield from found


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
