"""Markdown: what was said is quoted, what went into calls and out stands in fences, so that no text ends early."""

import re
from collections.abc import Iterable, Iterator

from sessions.exports.conversation import Call, Said, beside, facts_of, said_in
from sessions.models import Session
from sessions.templatetags.cleartext import on_one_line, reveal

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&!]|^[-+=]|(?<=\d)[.)](?=\s))")
_FENCES = re.compile(r"`{3,}")


def pieces_of(session: Session) -> Iterator[bytes]:
    """Yield a session as markdown, piece by piece."""
    return (text.encode() for text in _texts(session))


def _texts(session: Session) -> Iterator[str]:
    yield f"# {_word(session.display_title)}\n\n"
    for name, value in facts_of(session):
        yield f"- {name}: {_word(value)}\n"
    for said in said_in(session):
        yield from _said(said)
    others = beside(session)
    if others.todo:
        yield f"\n## To-do\n\n{_quoted(others.todo)}"
    if others.metadata:
        yield "\n## Metadata\n"
        for key, value in others.metadata:
            yield f"\n{_word(key)}:\n\n{_fenced(value)}"
    yield from _list("Files", others.files)
    yield from _list("Asked of a person", others.requests)


def _said(said: Said) -> Iterator[str]:
    yield f"\n## {_word(said.speaker)}\n\n{_word(said.when)}{', archived' if said.is_archived else ''}\n"
    if said.thinking:
        yield f"\nThought:\n\n{_quoted(said.thinking)}"
    if said.content:
        yield f"\n{_fenced(said.content) if said.is_result else _quoted(said.content)}"
    for call in said.calls:
        yield from _call(call)


def _call(call: Call) -> Iterator[str]:
    yield f"\n### {_word(call.name)}: {call.state}\n"
    for argument in call.given:
        yield f"\n{_word(argument.name) or 'Given'}:\n\n{_fenced(argument.text)}"
    if call.output is not None:
        yield f"\nGave back:\n\n{_fenced(call.output)}"


def _list(head: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number:
            yield f"\n## {head}\n\n"
        yield f"- {_word(line)}\n"


def _word(text: str) -> str:
    """Return a text on one line, in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", on_one_line(text, longest=2_000))


def _quoted(text: str) -> str:
    """Return markdown as a quotation: what it says cannot be taken for what the file says."""
    return "".join(f"> {line}\n" if line else ">\n" for line in reveal(text).split("\n"))


def _fenced(text: str) -> str:
    """Return a text between fences that are longer than any in it."""
    longest = max((len(found.group()) for found in _FENCES.finditer(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{reveal(text)}\n{fence}\n"
