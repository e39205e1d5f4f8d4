"""HTML: one file that needs nothing else and runs nothing, made by the renderers of the pages.

Whatever agents wrote is sanitised or escaped as on a page; the file's own policy refuses scripts and everything from
elsewhere, should a reader's browser see something in it that we do not.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from sessions.exports.conversation import Call, Said, beside, facts_of, said_in
from sessions.models import Session
from sessions.templatetags.cleartext import on_one_line, reveal
from sessions.templatetags.prose import whole
from sessions.templatetags.terminal import coloured

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">
<title>{}</title><style>{}</style></head><body>
<h1>{}</h1><dl>"""


def pieces_of(session: Session) -> Iterator[bytes]:
    """Yield a session as one HTML document, piece by piece."""
    return (html.encode() for html in _parts(session))


def _parts(session: Session) -> Iterator[SafeString]:
    title = on_one_line(session.display_title)
    yield format_html(_HEAD, title, mark_safe(_STYLE), title)  # noqa: S308  (our own)
    for name, value in facts_of(session):
        yield format_html("<dt>{}</dt><dd>{}</dd>", name, value)
    yield mark_safe("</dl>\n")
    for said in said_in(session):
        yield from _said(said)
    others = beside(session)
    if others.todo:
        yield format_html("<section><h2>To-do</h2>{}</section>\n", whole(others.todo))
    if others.metadata:
        yield mark_safe("<section><h2>Metadata</h2>")
        for key, value in others.metadata:
            yield _named(key, _plain(value))
        yield mark_safe("</section>\n")
    yield from _list("Files", others.files)
    yield from _list("Asked of a person", others.requests)
    yield mark_safe("</body></html>\n")


def _said(said: Said) -> Iterator[SafeString]:
    when = f"{said.when}, archived" if said.is_archived else said.when
    yield format_html("<article><header><b>{}</b> {}</header>", on_one_line(said.speaker), when)
    if said.thinking:
        yield format_html("<details><summary>Thought</summary>{}</details>", whole(said.thinking))
    if said.content:
        yield _output(said.content) if said.is_result else whole(said.content)
    for call in said.calls:
        yield from _call(call)
    yield mark_safe("</article>\n")


def _call(call: Call) -> Iterator[SafeString]:
    yield format_html('<details class="call"><summary>{} <b>{}</b></summary>', call.name, call.state)
    for argument in call.given:
        yield _named(argument.name or "Given", _plain(argument.text))
    if call.output is not None:
        yield _named("Gave back", _output(call.output))
    yield mark_safe("</details>")


def _named(name: str, value: SafeString) -> SafeString:
    return format_html("<h3>{}</h3>{}", on_one_line(name), value)


def _plain(text: str) -> SafeString:
    return format_html("<pre>{}</pre>", reveal(text))


def _output(text: str) -> SafeString:
    return format_html("<pre>{}</pre>", coloured(text))


def _list(head: str, lines: Iterable[str]) -> Iterator[SafeString]:
    number = 0
    for number, line in enumerate(lines, start=1):
        if number == 1:
            yield format_html("<section><h2>{}</h2><ul>", head)
        yield format_html("<li>{}</li>", on_one_line(line, longest=2_000))
    if number:
        yield mark_safe("</ul></section>\n")
