"""Make hostile text readable and harmless: nothing hides, nothing reorders, nothing commands a terminal."""

import re

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # a title or a link, up to its end
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # a device string
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # a colour, a cursor
    r"|\x1b[ -/]*[0-~]?"
)
_TAG_BLOCK, _PICTURES, _SPACE, _DELETE = 0xE0000, 0x2400, 0x20, 0x7F
_TAGS = re.compile("[\U000e0001-\U000e007f]+")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
"""One chooses the look of the sign before it; more of them carry bytes that nobody sees."""
_FIRST_SELECTORS, _MORE_SELECTORS, _FEW = 0xFE00, 0xE0100, 16
_MARKS = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+)"
)
"""No script stacks more than four marks; a tower of them lies over the lines around it."""
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, without tab and line ends
    "\xad\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0"  # letters that are blank
    "\u061c\u200b\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def reveal(text: str) -> str:
    """Return `text` without terminal escapes, and with what is invisible or turns the reading direction made visible.

    Controls become their pictures (␀), others their code point in brackets (⟦U+202E⟧); text hidden in tag characters
    or variation selectors is spelled out, towers of marks are cut. Line ends become plain newlines. Joiners and
    direction marks that real scripts need stay.
    """
    if text.isascii() and text.isprintable():  # then none of all that is in it
        return text
    text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if not text.isascii():
        text = _SELECTORS.sub(_read_selectors, _TAGS.sub(_spell_out, text))
        text = _MARKS.sub(_count_marks, text)
    return _ODD.sub(_picture, text)


def on_one_line(text: str, *, longest: int = 200) -> str:
    """Return the beginning of `text`, revealed, as one line of at most `longest` characters."""
    line = " ".join(reveal(text[: longest * 8]).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def is_whole_on_one_line(text: str) -> bool:
    """Say whether `on_one_line` shows all of `text`: nothing is cut, no line end and no run of spaces is lost."""
    return on_one_line(text) == reveal(text).strip()


def _spell_out(found: re.Match[str]) -> str:
    letters = "".join(chr(ord(tag) - _TAG_BLOCK) for tag in found.group())
    letters = "".join(letter for letter in letters if letter.isprintable())
    return f"⟦hidden: {letters}⟧"


def _read_selectors(found: re.Match[str]) -> str:
    codes = [ord(sign) for sign in found.group()]
    values = (code - _FIRST_SELECTORS if code < _MORE_SELECTORS else code - _MORE_SELECTORS + _FEW for code in codes)
    letters = "".join(letter for letter in bytes(values).decode("utf-8", "replace") if letter.isprintable())
    return f"⟦hidden: {letters}⟧"


def _count_marks(found: re.Match[str]) -> str:
    return f"{found[1]}⟦{len(found[2])} marks more⟧"


def _picture(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < _SPACE:
        return chr(_PICTURES + code)
    return "␡" if code == _DELETE else f"⟦U+{code:04X}⟧"
