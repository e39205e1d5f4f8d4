"""Texts that are long in an odd way cost a time that grows with their length, not with its square.

An agent that writes a megabyte of blanks must not hold the lock on the store for an hour, nor a page its thread.
"""

import json
from functools import partial

import pytest

from sessions import redaction
from sessions.asides import checklist
from sessions.likeness import likeness, without_tag
from sessions.models.folding import parse, words_of
from sessions.projection import tell
from sessions.snippets import snippet
from sessions.templatetags.cleartext import on_one_line, reveal
from sessions.templatetags.diffs import diff_lines
from sessions.templatetags.folded import folded
from sessions.templatetags.images import small_images
from sessions.templatetags.prose import prose, whole
from sessions.templatetags.terminal import coloured, terminal
from tests.timing import seconds_of

LENGTH = 30_000
WITHIN_SECONDS = 1.5
"""Of the processor's time, which says nothing about how busy the machine is. Squared, such a length takes ten."""

ODD = {
    "blanks": " ",
    "line ends": "\n",
    "blanks and a sign": " x",
    "tabs": "\t",
    "begun tags": "<checkpoint_id>",
    "ended tags": "</checkpoint_id>",
    "whole tags": "<checkpoint_id></checkpoint_id> ",
    "begun elements": "<local_context>",
    "ended elements": "</agents_md>",
    "whole elements": "<apps_md> </apps_md> ",
    "items": "- [ ] ",
    "item and blanks": "- ",
    "brackets": "[",
    "pictures": "![",
    "links": "[a](",
    "stars": "*a ",
    "underscores": "_a",
    "ticks": "`",
    "quotes": ">",
    "tables": "|a|\n|-|\n",
    "escapes": "\x1b[",
    "escaped titles": "\x1b]",
    "device strings": "\x1bP",
    "marks": "\u0315\u0300",
    "ligatures": "\ufdfa",
    "hidden": "\U000e0041",
    "secrets": "sk-",
    "keys": "-----BEGIN PRIVATE KEY-----",
    "tokens": "eyJ",
    "redacted": "[REDACTED_SECRET:",
    "pictures in data": "data:image/png;base64,",
    "blocks": '"media_type":"image/png"',
    "addresses": "http://a@",
    "html": "<a",
    "quoted": '"',
    "backslashes": "\\",
    "dashes": "-",
    "colons": ":a",
    "signs": "\u4e00",
}


def _tell_each(text: str) -> None:
    for role in ("user", "assistant", "tool", "system"):
        tell(json.dumps({"role": role, "content": text}))


READERS = {
    "what a message tells": _tell_each,
    "whether two are alike": lambda text: likeness(json.dumps({"role": "assistant", "content": text})),
    "a resumed session's mark": without_tag,
    "a checklist": lambda text: [checklist(text), checklist(f"- [ ] {text}x")],
    "a line": on_one_line,
    "what is revealed": reveal,
    "prose": prose,
    "prose in an export": lambda text: [whole(text), whole(text[: 16 * 1024])],
    "a terminal": terminal,
    "a terminal in an export": coloured,
    "pictures": lambda text: small_images(text[: 16 * 1024]),
    "words": words_of,
    "a query": parse,
    "a snippet": lambda text: snippet(text, parse(f"{text[:500]} a")),
    "JSON": folded,
    "a diff": lambda text: diff_lines({"old_string": text, "new_string": f"{text}x"}),
    "secrets": redaction.redact,
}


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_no_text_holds_anybody_up(reader):
    took = {}
    for name, piece in ODD.items():
        text = (piece * (LENGTH // len(piece) + 1))[:LENGTH]
        for ending in (text, f"{text}x"):
            took[name] = max(took.get(name, 0), seconds_of(partial(READERS[reader], ending)))
    assert {name: seconds for name, seconds in took.items() if seconds > WITHIN_SECONDS} == {}
