"""A diff made of what an edit was asked to do. Pure: from a tool's arguments or a request's preview to lines."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from django import template

from sessions.aligning import Matcher, Steps
from sessions.models.fields import load_written

register = template.Library()

MINUS = "\N{MINUS SIGN}"
LONGEST_LINES = 400
"""Lines of each side that are compared, of all edits together; longer ones show their beginning."""
LONGEST_LINE = 500
"""Characters of a line that are shown."""
_MOST_STEPS = 100_000
"""Steps in which lines are aligned, of all edits together, and as many for the words of lines: some milliseconds."""
_MARKED_LINE = 240
_MARK_FROM_RATIO = 0.5
_WORD = re.compile(r"\w+|\s+|.")
_CONTEXT = 3
_PAIRS = (
    ("old_string", "new_string"),
    ("old_str", "new_str"),
    ("old_text", "new_text"),
    ("old_lines", "new_lines"),
    ("old", "new"),
)
_WHOLE = ("content", "file_text", "first_lines")
_PATHS = ("file_path", "path", "filename", "notebook_path")

Opcodes = Sequence[tuple[str, int, int, int, int]]
"""As the standard library's matcher tells them: what to do, and from where to where on both sides."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement; `first_line` is where it stands in the file, when that was said."""

    old: list[str]
    new: list[str]
    first_line: int = 1
    is_placed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line; marked when it is what differs."""

    text: str
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line: kind is "same", "add", "del" or "hunk"; a number is None where there is none."""

    kind: str
    old_number: int | None
    new_number: int | None
    parts: Sequence[Part]

    @property
    def sign(self) -> str:
        """Return what stands before the line."""
        return {"add": "+", "del": MINUS}.get(self.kind, " ")


def edits_of(args: Any) -> list[Edit]:
    """Return the replacements that `args` ask for: an object, its JSON text, or Koda's DiffPreview; else none."""
    if isinstance(args, str):
        args = _parsed(args)
    if not isinstance(args, dict):
        return []
    single = _pair(args)
    if single is not None:
        return [single]
    for name in ("edits", "replacements"):
        if isinstance(args.get(name), list):
            pairs = (_pair(item) for item in args[name] if isinstance(item, dict))
            return [pair for pair in pairs if pair is not None]
    written = next((args[name] for name in _WHOLE if _is_text(args.get(name))), None)
    if written is not None and (any(name in args for name in _PATHS) or str(args.get("kind", "")).startswith("Write")):
        return [Edit([], _lines(written), is_placed=True)]
    return []


def counts_of(edits: Sequence[Edit]) -> tuple[int, int]:
    """Return how many lines the edits add and take away."""
    added = taken = 0
    for _, opcodes, _ in _aligned(edits):
        for tag, old_from, old_to, new_from, new_to in opcodes:
            if tag != "equal":
                taken += old_to - old_from
                added += new_to - new_from
    return added, taken


def change_of(args: Any) -> tuple[int, int] | None:
    """Return how many lines `args` add and take away, or None when they edit nothing or do not tell all of it.

    A preview shows the beginning of what is written, and some of many edits (contracts/koda.md 4.2): a new file has
    the lines that it says, and what an overwritten one loses and keeps is not known.
    """
    edits = edits_of(args)
    kind = args.get("kind") if isinstance(args, dict) else None
    if not edits or kind == "WriteOverwrite" or left_out_of(args) != 0:
        return None
    if kind == "WriteNew":
        count = number_of(args, "line_count")
        if count is not None or args.get("truncated"):
            return None if count is None else (count, 0)
    return counts_of(edits)


def left_out_of(args: Any) -> int | None:
    """Return how many edits a preview leaves out; None when it says that there are more and not how many."""
    if not isinstance(args, dict) or not args.get("truncated_count"):
        return 0
    return number_of(args, "truncated_count")


def number_of(told: dict[str, Any], name: str) -> int | None:
    """Return a count that a preview tells; what is no whole number from 0 on tells nothing."""
    value = told.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def lines_of(edits: Sequence[Edit], *, left_out: int | None = 0) -> list[Line]:
    """Return the lines of a diff, with some context around each change. `left_out`: edits that are not among these."""
    of_all = "" if left_out is None else f" of {len(edits) + left_out}"
    lines: list[Line] = []
    steps = Steps(_MOST_STEPS)
    for place, (edit, opcodes, room) in enumerate(_aligned(edits)):
        if not room:
            return [*lines, _left_out(edits[place:])]
        if edit.is_placed or len(edits) > 1:
            words = f"from line {edit.first_line}" if edit.is_placed else f"edit {place + 1}{of_all}"
            if edit.old:
                lines.append(Line("hunk", None, None, [Part(words)]))
        lines.extend(_edit_lines(edit, opcodes, room, steps))
    return lines


@register.filter
def diff_lines(args: Any) -> list[Line]:
    """Return the diff that a tool's arguments or a request's preview describe; empty when they edit nothing."""
    return lines_of(edits_of(args), left_out=left_out_of(args))


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of a diff side by side: what was, what is; a side is None where the other has no counterpart."""

    old: Line | None
    new: Line | None

    @property
    def hunk(self) -> Line | None:
        """Return the line that stands over both sides."""
        return self.old if self.old is not None and self.old.kind == "hunk" else None


@register.filter
def has_both_sides(lines: Sequence[Line]) -> bool:
    """Say whether there is something to put side by side: what only came or only went has one side."""
    kinds = {line.kind for line in lines}
    return not kinds.isdisjoint({"del", "same"}) and "add" in kinds


@register.filter
def sides(lines: Sequence[Line]) -> list[Pair]:
    """Return the rows of a diff side by side: of each change the lines that went beside those that came."""
    pairs: list[Pair] = []
    went: list[Line] = []
    came: list[Line] = []
    for line in [*lines, None]:
        if line is not None and line.kind == "del" and not came:
            went.append(line)
        elif line is not None and line.kind == "add":
            came.append(line)
        else:
            pairs += [Pair(old, new) for old, new in zip_longest(went, came)]
            went, came = [line] if line is not None and line.kind == "del" else [], []
            pairs += [Pair(line, line)] if line is not None and not went else []
    return pairs


def _parsed(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return None
    try:
        return load_written(text)
    except ValueError:
        return None


def _pair(args: dict[str, Any]) -> Edit | None:
    for old, new in _PAIRS:
        if _is_text(args.get(old)) and _is_text(args.get(new)):
            first = args.get("start_line")
            is_placed = isinstance(first, int) and not isinstance(first, bool)
            return Edit(_lines(args[old]), _lines(args[new]), int(first or 1) if is_placed else 1, is_placed)
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _lines(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else str(value).splitlines()


def _aligned(edits: Sequence[Edit]) -> Iterator[tuple[Edit, Opcodes, int]]:
    """Yield each edit, what it does, and how many lines of each side there is room for; one without is not aligned.

    All share the room and the steps: one call may bring any number of edits. Each takes a line at least.
    """
    room, steps = LONGEST_LINES, Steps(_MOST_STEPS)
    for edit in edits:
        longest = max(len(edit.old), len(edit.new), 1)
        if longest > room:
            yield edit, [("replace", 0, len(edit.old), 0, len(edit.new))], room
        else:
            yield edit, Matcher(edit.old, edit.new, steps=steps).get_opcodes(), room
        room = max(0, room - longest)


def _left_out(edits: Sequence[Edit]) -> Line:
    """Return the line that stands for the edits that are not shown."""
    count = sum(len(edit.old) + len(edit.new) for edit in edits)
    words = f"{len(edits):,} more edit{'s' if len(edits) != 1 else ''}, {count:,} line{'s' if count != 1 else ''}"
    return Line("hunk", None, None, [Part(words)])


def _edit_lines(edit: Edit, opcodes: Opcodes, room: int, steps: Steps) -> list[Line]:
    lines: list[Line] = []
    for tag, old_from, old_to, new_from, new_to in opcodes:
        if tag == "equal":
            lines.extend(_same(edit, old_from, old_to, new_from))
        else:
            lines.extend(_changed(edit, (old_from, old_to, new_from, new_to), room, steps))
    return lines


def _same(edit: Edit, old_from: int, old_to: int, new_from: int) -> list[Line]:
    shift = new_from - old_from
    shown = [
        Line("same", edit.first_line + at, edit.first_line + at + shift, [Part(edit.old[at][:LONGEST_LINE])])
        for at in range(old_from, old_to)
    ]
    if len(shown) <= 2 * _CONTEXT + 1:
        return shown
    left_out = len(shown) - 2 * _CONTEXT
    return [*shown[:_CONTEXT], Line("hunk", None, None, [Part(f"{left_out} equal lines")]), *shown[-_CONTEXT:]]


def _changed(edit: Edit, stretch: tuple[int, int, int, int], room: int, steps: Steps) -> list[Line]:
    old_from, old_to, new_from, new_to = stretch
    taken, added = edit.old[old_from:old_to][:room], edit.new[new_from:new_to][:room]
    marked = [_marked(a, b, steps) if a is not None and b is not None else None for a, b in zip_longest(taken, added)]
    lines = [
        Line("del", edit.first_line + old_from + at, None, marks[0] if (marks := marked[at]) else _plain(text))
        for at, text in enumerate(taken)
    ]
    lines += [
        Line("add", None, edit.first_line + new_from + at, marks[1] if (marks := marked[at]) else _plain(text))
        for at, text in enumerate(added)
    ]
    left_out = (old_to - old_from - len(taken)) + (new_to - new_from - len(added))
    if left_out:
        lines.append(Line("hunk", None, None, [Part(f"{left_out:,} more lines")]))
    return lines


def _plain(text: str) -> list[Part]:
    return [Part(text[:LONGEST_LINE])]


def _marked(old: str, new: str, steps: Steps) -> tuple[list[Part], list[Part]] | None:
    """Return both lines in parts with what differs marked, or None when they are not alike enough."""
    if max(len(old), len(new)) > _MARKED_LINE:
        return None
    old_words, new_words = _WORD.findall(old), _WORD.findall(new)
    matcher = Matcher(old_words, new_words, steps=steps)
    if matcher.quick_ratio() < _MARK_FROM_RATIO or matcher.ratio() < _MARK_FROM_RATIO:
        return None
    before: list[Part] = []
    after: list[Part] = []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        is_marked = tag != "equal"
        before.append(Part("".join(old_words[old_from:old_to]), is_marked))
        after.append(Part("".join(new_words[new_from:new_to]), is_marked))
    return [part for part in before if part.text], [part for part in after if part.text]
