"""The formats of an export, and what makes each."""

from collections.abc import Callable, Iterator
from enum import StrEnum

from sessions.exports import markdown, pages, records
from sessions.models import Session


class Format(StrEnum):
    """What an export may be."""

    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    HTML = "html"

    @property
    def label(self) -> str:
        """Return its name for people."""
        return {Format.JSONL: "JSON lines", Format.MARKDOWN: "Markdown"}.get(self, self.value.upper())

    @property
    def ending(self) -> str:
        """Return how the name of such a file ends."""
        return "md" if self is Format.MARKDOWN else self.value

    @property
    def content_type(self) -> str:
        """Return what such a file is."""
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    Format.JSON: "application/json",
    Format.JSONL: "application/jsonl",
    Format.MARKDOWN: "text/markdown; charset=utf-8",
    Format.HTML: "text/html; charset=utf-8",
}
_MAKERS: dict[Format, Callable[[Session], Iterator[bytes]]] = {
    Format.JSON: records.object_of,
    Format.JSONL: records.lines_of,
    Format.MARKDOWN: markdown.pieces_of,
    Format.HTML: pages.pieces_of,
}


def pieces_of(session: Session, form: Format) -> Iterator[bytes]:
    """Yield an export piece by piece; only some rows at a time are held in memory."""
    return _MAKERS[form](session)
