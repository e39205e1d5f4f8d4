"""Agents' and people's words as HTML: markdown parsed, code set by weight, everything sanitised.

What comes out holds only the tags and attributes named here, whatever went in.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import nh3
from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import find_lexer_class_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from sessions.models import SHOWN
from sessions.templatetags.cleartext import reveal

register = template.Library()

LONGEST_PROSE = 16 * 1024
"""Characters of a text that are parsed as markdown; parsing more can take seconds, so more is shown as it is."""
MOST_BRACKETS = 600
"""Opening brackets of a text that is parsed: each is looked at from each, and links are longer than that."""
LONGEST_CODE = 8 * 1024
"""Characters of a code block that are highlighted."""
LONGEST_CODE_LINE = 200
"""Characters of a line in such a block: lexers look for what begins on a line to its end, some from each place."""
_GAP = re.compile(r"\s{100}")
"""White space that no code has, and that many lexers look through from each place of it."""
HEAD = SHOWN
"""Characters shown of what is too long to show."""
_LOWEST_HEADING = 6
_HEADING_SHIFT = 3
"""A message's own headings stand below those of the page."""

LANGUAGES = frozenset({
    "bash", "c", "cpp", "css", "diff", "docker", "dockerfile", "elixir", "go", "graphql", "haskell",
    "html", "http", "ini", "javascript", "js", "json", "jsx", "kotlin", "lua", "nginx",
    "php", "powershell", "protobuf", "ps1", "py", "python", "r", "rb", "rs", "ruby", "rust", "scala", "scss",
    "sh", "shell", "sql", "swift", "toml", "ts", "tsx", "typescript", "vim", "xml", "yaml", "yml", "zig",
    "zsh", "console",
})  # fmt: skip
"""Languages that are highlighted. A fixed list: some lexers are slow on text made for it, above all those of C#, HCL,
Java, makefiles and Perl."""

TAGS = frozenset({
    "p", "br", "hr", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a",
    "table", "thead", "tbody", "tr", "th", "td", "span", "div", "input",
})  # fmt: skip
_REDACTED = re.compile(r"\[REDACTED_SECRET:([A-Za-z0-9._-]{1,80}):[a-z0-9]{6}\]")
"""What Stakpak's client puts in the place of a secret before anything leaves the machine: the rule, and a mark."""
_TASK = re.compile(r"\[([ xX])\](?: |$)")
_TASKS = {" ": "to do", "x": "done", "X": "done"}
"""The box at the head of a list item, and what it says."""
_NAMED = re.compile(
    r"(?:://|\bwww\.)((?:[\w-]+\.)+[^\W\d_]{2,})|^((?:[\w-]+\.)+(?:com|org|net|io|dev|ai|app|edu|gov|info))(?=[/:?#@]|$)"
)
"""The host that the words of a link name; a name alone may be that of a file, unless it ends as hosts do."""
_ENCODED = "xn--"
"""Of a host with letters beyond ASCII, which may look like others."""
_CLASSES = {
    "li": {"task"},
    "span": {"redacted", *(name for name in STANDARD_TYPES.values() if name)},
    "pre": {"code"},
    "div": {"wide"},
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "input": {"checked"}}
_VALUES = {"input": {"aria-label": set(_TASKS.values())}}
_ALWAYS = {"a": {"target": "_blank"}, "pre": {"tabindex": "0"}, "input": {"type": "checkbox", "disabled": ""}}
"""Whatever stands there: no input is anything but a box that does nothing."""


_formatter = HtmlFormatter(nowrap=True)
"""One for all blocks: it works out a whole style when it is made, which took longer than the block."""


def _highlight(code: str, language: str, _attributes: str) -> str:
    """Return a code block, with classes for weight where the language is known and the code is short."""
    body = _with_pills(escape(code))
    if language.lower() in LANGUAGES and _is_plain_to_read(code):
        with suppress(ClassNotFound):
            body = highlight(code, _lexer_of(language.lower())(), _formatter)
    return f'<pre class="code">{body}</pre>'


def _is_plain_to_read(code: str) -> bool:
    """Say whether a lexer gets through in a time that grows with the length alone."""
    is_short = len(code) <= LONGEST_CODE and max(map(len, code.split("\n"))) <= LONGEST_CODE_LINE
    return is_short and not _GAP.search(code)


@lru_cache(maxsize=len(LANGUAGES))
def _lexer_of(language: str) -> type[Lexer]:
    """Return what reads a language; to find it, Pygments goes through all that it knows."""
    return find_lexer_class_by_name(language)


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(_LOWEST_HEADING, int(token.tag[1:]) + _HEADING_SHIFT)}"


def _tick(state: StateCore) -> None:
    """Put a box in the place of `[ ]` and `[x]` at the head of a list item."""
    for item, paragraph, words in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if (item.type, paragraph.type, words.type) != ("list_item_open", "paragraph_open", "inline"):
            continue
        first = next(iter(words.children or []), None)
        found = _TASK.match(first.content) if first is not None and first.type == "text" else None
        if found is None or first is None or words.children is None:
            continue
        first.content = first.content[found.end() :]
        item.attrSet("class", "task")
        words.children.insert(0, Token("task", "input", 0, meta={"state": _TASKS[found[1]]}))


def _task(_self: RendererHTML, tokens: list[Token], at: int, _options: Any, _env: Any) -> str:
    state = tokens[at].meta["state"]
    return f'<input type="checkbox" disabled aria-label="{state}"{" checked" if state == "done" else ""}> '


def _name_hosts(state: StateCore) -> None:
    """Say behind a link where it leads, when its words name another host, or its host may only look like its words."""
    for block in state.tokens:
        children = block.children or []
        for at in range(len(children) - 1, -1, -1):
            if children[at].type != "link_open":
                continue
            end = next(to for to in range(at, len(children)) if children[to].type == "link_close")
            words = "".join(child.content for child in children[at:end]).strip()
            host = _host_of(str(children[at].attrs.get("href", "")))
            named = _NAMED.search(words.lower())
            is_other = named is not None and (named[1] or named[2]) != host.removeprefix("www.")
            if host and (is_other or _ENCODED in host):
                children.insert(end + 1, Token("text", "", 0, content=f" ({host})"))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as a bracket that opens no address
        return ""


def _image(_self: RendererHTML, tokens: list[Token], at: int, _options: Any, _env: Any) -> str:
    """Return a link instead of the picture: a picture from elsewhere tells its server who reads."""
    source, words = str(tokens[at].attrs.get("src", "")), tokens[at].content or "image"
    return f'<a href="{escape(source)}">{escape(words)} (image)</a>'


def _text(_self: RendererHTML, tokens: list[Token], at: int, _options: Any, _env: Any) -> str:
    return _with_pills(escape(tokens[at].content))


def _with_pills(html: str) -> str:
    """Return escaped text in which what an agent left in place of a secret looks like that."""
    return _REDACTED.sub(r'<span class="redacted">secret (\1)</span>', html)


def _table_open(_self: RendererHTML, *_rest: Any) -> str:
    return '<div class="wide"><table>'


def _table_close(_self: RendererHTML, *_rest: Any) -> str:
    return "</table></div>"


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("js-default", {"html": False, "breaks": True, "highlight": _highlight})
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.core.ruler.before("text_join", "tick", _tick)  # there `\[x]` still differs from `[x]`
    parser.core.ruler.push("name_hosts", _name_hosts)
    parser.add_render_rule("task", _task)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("text", _text)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


_parser = _make_parser()
_cleaner = nh3.Cleaner(
    tags=set(TAGS),
    attributes=_ATTRIBUTES,
    tag_attribute_values=_VALUES,
    allowed_classes=_CLASSES,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values=_ALWAYS,
)


@register.filter
def prose(text: str | None) -> SafeString:
    """Return markdown as sanitised HTML. What is too long or too tangled to parse: the beginning, as it is."""
    if _is_too_much(text or ""):
        return mark_safe(f'<pre class="code" tabindex="0">{head(text)}</pre>')  # noqa: S308  (escaped there)
    return whole(text)


def whole(text: str | None) -> SafeString:
    """Return all of a markdown as sanitised HTML; what is too long or too tangled to parse as it is."""
    if not text:
        return SafeString("")
    if _is_too_much(text):
        return mark_safe(f'<pre class="code">{_with_pills(escape(reveal(text)))}</pre>')  # noqa: S308  (escaped)
    return mark_safe(_rendered(text))  # noqa: S308  (what nh3 let through)


def _is_too_much(text: str) -> bool:
    return len(text) > LONGEST_PROSE or text.count("[") > MOST_BRACKETS


@register.filter
def head(text: str | None) -> SafeString:
    """Return the beginning of a text that may be megabytes long, revealed and escaped."""
    return mark_safe(_with_pills(escape(reveal((text or "")[:HEAD]))))  # noqa: S308  (escaped here)


@register.filter
def is_cut(text: str | None) -> bool:
    """Say whether `head` and `prose` show less than the whole text."""
    return len(text or "") > HEAD


@lru_cache(maxsize=1024)
def _rendered(text: str) -> str:
    return _cleaner.clean(_parser.render(reveal(text)))
