"""The files that pages load: what they weigh, whose they are, and whether their colours can be read."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from sessions.models import Outcome
from tests.conftest import ROOT
from tests.factories import make_events, make_message, make_session
from tests.web.markup import parse

STATIC = ROOT / "static" / "koda"
CSS = (STATIC / "tokens.css").read_text()
TOKENS = {
    name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+):\s*light-dark\((#\w{6}),\s*(#\w{6})\)", CSS)
}
GROUNDS = ["ground", "sunken", "raised", "hover"]
STATES = ["needs", "fails", "moves"]
TEXT, SHAPE = 4.5, 3.0
THICKEST_LINE, ROUND = 4, 99
"""Pixels: the widest line, and the radius of what is round at its ends whatever its height."""
PAIRS = [
    *((ink, ground, TEXT) for ink in ("ink", "ink-2", "ink-3") for ground in GROUNDS),
    *((ink, f"{state}-wash", TEXT) for state in STATES for ink in ("ink", "ink-2", "ink-3", state)),
    *((ink, f"{state}-rim", TEXT) for state in STATES for ink in ("ink", "ink-2", state)),
    *((state, ground, TEXT) for state in STATES for ground in GROUNDS),
    *((f"{state}-fill", ground, SHAPE) for state in (*STATES, "rests") for ground in GROUNDS),
    *((f"{state}-fill", f"{state}-wash", SHAPE) for state in STATES),
    *(("edge", ground, SHAPE) for ground in GROUNDS),
    *((f"{sign}", ground, TEXT) for sign in ("added", "taken") for ground in ("ground", "raised", "needs-wash")),
    *((ink, f"{sign}-{part}", TEXT) for sign in ("added", "taken") for part in ("wash", "mark") for ink in ("ink",)),
    *((sign, f"{sign}-wash", TEXT) for sign in ("added", "taken")),
    ("ground", "ink", TEXT),
    ("ground", "ink-2", TEXT),
]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_pair_of_colours_can_be_read(theme):
    weak = {
        (front, back): round(contrast(TOKENS[front][theme], TOKENS[back][theme]), 2)
        for front, back, least in PAIRS
        if contrast(TOKENS[front][theme], TOKENS[back][theme]) < least
    }
    assert weak == {}


STYLESHEETS = sorted(path for path in STATIC.glob("*.css") if path.name not in {"tokens.css", "admin.css"})


EVERY_STYLESHEET = [*STYLESHEETS, STATIC / "admin.css"]
_SPACING = r"(?:scroll-)?(?:padding|margin)(?:-[\w-]+)?|(?:row-|column-)?gap|inset(?:-[\w-]+)?|top|right|bottom|left"
_TYPE = r"font|font-size|line-height|letter-spacing|border(?:-[\w-]+)?-radius"
_COLOURED = r"(?:[\w-]+-)?color|background|border(?:-(?:block|inline)(?:-start|-end)?)?|outline|fill|stroke|box-shadow"
_LENGTH = re.compile(r"(?<![\w.-])-?(?:\d*\.)?\d+(?!v[hw])(?:[a-z]+)?(?![\w.%])")
HAIRLINES = {"0", "1px", "-1px", "2px", "-2px"}
"""What may stand in a space: nothing, and the width of a line that something is drawn over or beside."""
DRAWN = {"--cols", "--lane", "--lanes", "--step", "--label", "--sign", "--gutter"}
"""Set outside tokens.css: the columns, lanes and labels of one thing that is drawn, and a narrower gutter."""
WEIGHTS = {"400", "450", "500", "550", "600", "700"}
WORDS = {
    *("none", "auto", "inherit", "transparent", "currentColor", "solid", "dashed", "inset", "no-repeat", "right"),
    *("center", "linear-gradient", "deg", "color-mix", "in", "oklab", "Field", "Canvas", "CanvasText", "Highlight"),
}
"""What may stand beside a colour that has a name here; those with a capital are the system's own."""


def stated(path: Path, properties: str) -> list[tuple[str, str]]:
    """Return each property of these that a stylesheet states, with its value."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.findall(rf"(?<=[{{;\s])({properties})\s*:\s*([^;{{}}]+?)\s*(?:!important\s*)?(?=[;}}])", text)


def raw(value: str) -> list[str]:
    """Return the lengths of a value that no token names; a factor within calc() is no length."""
    value = re.sub(r"var\([^()]*\)", "var", value)
    value = re.sub(r"(?<=calc\()-?\d+ \* |(?<= )\* -?\d+\b| / \d+\b", "", value)
    return [length for length in _LENGTH.findall(value) if length not in HAIRLINES]


@pytest.mark.parametrize("path", EVERY_STYLESHEET, ids=lambda path: path.name)
def test_space_and_type_are_named_in_one_place(path):
    assert [(name, value) for name, value in stated(path, _SPACING) if raw(value)] == []
    typed = [(name, value) for name, value in stated(path, _TYPE) if raw(re.sub(r"^\d{3} |\b50%", "", value))]
    assert typed == []
    assert {value for _, value in stated(path, "font-weight")} <= WEIGHTS


@pytest.mark.parametrize("path", EVERY_STYLESHEET, ids=lambda path: path.name)
def test_layers_are_named_in_one_place(path):
    assert [value for _, value in stated(path, "z-index") if not re.fullmatch(r"var\(--z-\w+\)", value)] == []


@pytest.mark.parametrize("path", EVERY_STYLESHEET, ids=lambda path: path.name)
def test_colours_are_named_in_one_place(path):
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|\b(?:rgb|hsl|oklch|light-dark)\(", text) == []
    for name, value in stated(path, _COLOURED):
        words = re.findall(r"(?<![\w.-])[a-zA-Z][\w-]*", re.sub(r"var\([^()]*\)|url\([^()]*\)", "", value))
        assert set(words) <= WORDS, (name, value)


@pytest.mark.parametrize("path", STYLESHEETS, ids=lambda path: path.name)
def test_what_a_stylesheet_names_itself_is_one_drawn_thing(path):
    assert {name for name, _ in stated(path, r"--[\w-]+")} <= DRAWN


def test_every_token_is_read_and_every_name_that_is_read_is_a_token():
    named = set(re.findall(r"(--[\w-]+)\s*:", CSS)) | DRAWN
    styles = "".join(path.read_text() for path in STATIC.glob("*.css"))
    drawn = "".join(path.read_text() for path in [*(ROOT / "templates").rglob("*.html"), *STATIC.glob("*.js")])
    read = set(re.findall(r"var\((--[\w-]+)", styles + drawn))
    assert named == read


@pytest.mark.parametrize("path", STYLESHEETS, ids=lambda path: path.name)
def test_sizes_follow_the_readers_own_type_and_pixels_are_lines(path):
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    pixels = {abs(float(size)) for size in re.findall(r"(-?[\d.]+)px", text)}
    assert {size for size in pixels if size > THICKEST_LINE} <= {ROUND}


@pytest.mark.parametrize("path", STYLESHEETS, ids=lambda path: path.name)
def test_a_stylesheet_stays_readable_and_in_its_layers(path):
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    assert len(text.splitlines()) <= 200
    outermost = [line for line in text.splitlines() if line and not line.startswith((" ", "}"))]
    assert all(re.match(r"@layer \w+ \{", line) for line in outermost), outermost
    assert set(re.findall(r"@layer (\w+)", text)) <= set(re.search(r"@layer ([\w, ]+);", CSS)[1].split(", "))


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "pictures").iterdir()), ids=lambda path: path.name)
def test_a_picture_of_the_docs_is_small(path):
    assert path.stat().st_size <= 150_000


def test_what_others_wrote_is_what_the_manifest_says():
    vendor = STATIC / "vendor"
    manifest = json.loads((vendor / "manifest.json").read_text())
    files = {path.name for path in vendor.iterdir() if path.suffix == ".js"}
    assert files == set(manifest)
    for name, entry in manifest.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["package"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])


def test_our_scripts_evaluate_nothing_and_know_no_other_host():
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        assert not re.search(r"\beval\(|new Function|innerHTML\s*=(?! text)|setAttribute\(\"on|https?://", text), (
            path.name
        )
        assert len(text.splitlines()) <= 300, path.name


@pytest.mark.parametrize("tab", ["", "?tab=events"])
def test_a_first_visit_weighs_less_than_60_kilobytes(owner, reader, tab):
    session = make_session(owner, title="Sixty")
    for number in range(60):
        make_events(make_session(owner, title=f"Row {number}"), {"type": "turn_start", "turn_id": "t"})
        call = {"id": str(number), "name": "Bash", "arguments": {"command": f"make {number}"}}
        make_message(session, role="assistant", content=f"Now **number {number}** of them.\n\n" * 5, tool_calls=[call])
        make_message(session, role="tool", tool_call_id=str(number), content="x" * 500, outcome=Outcome.SUCCESS)
    for url in ("/", "/inbox/", "/sessions/", "/connect/", "/account/", f"/sessions/{session.uuid}/{tab}"):
        html = reader.get(url).content
        loaded = {url for element in parse(html).all() for url in _files(element)}
        assert loaded
        files = [gzip.compress(Path(finders.find(url.removeprefix("/static/"))).read_bytes()) for url in loaded]
        assert len(gzip.compress(html)) + sum(map(len, files)) < 60_000, url


def _files(element):
    if element.tag == "script":
        yield element.attrs["src"]
    if element.tag == "link":
        yield element.attrs["href"]


def test_every_file_that_a_page_names_exists(reader):
    for url in {url for element in parse(reader.get("/").content).all() for url in _files(element)}:
        assert finders.find(url.removeprefix("/static/")), url


def test_a_session_of_long_answers_opens_as_light(owner, reader):
    session = make_session(owner)
    for number in range(120):
        words = " ".join(f"word{number * 7919 + place * 104729 % 1000003:x}" for place in range(400))
        make_message(session, role="assistant", content=words)
    html = reader.get(f"/sessions/{session.uuid}/").content
    shown = parse(html)
    assert shown.by_id("older")
    assert 20 <= len(shown.all("article", "message")) < 120
    files = [Path(finders.find(url.removeprefix("/static/"))) for part in shown.all() for url in _files(part)]
    scripts = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert scripts < 40_000
    assert len(html) < 250_000


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.*")), ids=lambda path: path.name)
def test_a_file_is_there_because_something_names_it(path):
    readers = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "sessions").rglob("*.py")]
    assert any(f"koda/{path.name}" in reader.read_text() for reader in readers)
