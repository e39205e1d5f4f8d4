"""What holds for every page of the list: light to load, for every eye and hand, whole in both themes and all widths.

How full of ink each part of a page is, wide and on a phone, stands in looks.json; `--new-looks` writes it anew, to be
looked at in pictures first.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.conftest import Person, Prepared, agent_at, browsing
from tests.browser.pages import PAGES, furnish, save_states
from tests.browser.test_narrow import OVERFLOW
from tests.conftest import Server, stop_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST_PAINT_BYTES = 60_000
PHONE, WIDE, WIDEST = (390, 844), (1440, 900), (2200, 1000)
GRID = 24
WITHIN_SECONDS = 20
SAME_INK = 0.06
"""How much of a picture's cells may differ between themes: dashes and antialiasing differ, a lost part does not."""
OTHER_LOOKS = 0.25
"""How much of a page's inked cells may differ from what was kept: words and ages change, a lost part is more."""
LOOKS = Path(__file__).parent / "looks.json"
_SERIOUS = {"serious", "critical"}
_PAINTED = {"document", "stylesheet", "script", "font", "image"}

_SCRIPT = (Path(__file__).parent / "every_page.js").read_text()


@dataclass
class Visit:
    """What was seen of one page."""

    name: str
    sizes: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    overflow: dict[str, str] = field(default_factory=dict)
    overlaps: dict[str, list[str]] = field(default_factory=dict)
    ink: dict[str, list[float]] = field(default_factory=dict)
    unringed: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)
    plain_controls: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def alone(serve: Callable[..., Server]) -> Iterator[Server]:
    """A server that shows what is furnished here and nothing else."""
    running = serve()
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def visitor(chromium: Browser, alone: Server, request: pytest.FixtureRequest) -> Iterator[Person]:
    with browsing(chromium, alone, request) as someone:
        someone.come_in()
        yield someone


@pytest.fixture(scope="module")
def places(visitor: Person, alone: Server, prepared: Prepared) -> dict[str, str]:
    agent = agent_at(alone, prepared.key)
    kept, session = save_states(agent), furnish(agent)
    count = len(agent.client.get("/api/v1/sessions").json()["items"])
    agent.client.close()
    wait_for(visitor, "/storage/", "tfoot td.n >> nth=0", str(count))  # sizes are measured after the write
    wait_for(visitor, "/search/?q=charts", ".hit a.cut", "Sea charts")  # what came last is found last
    page = visitor.open(f"/sessions/{session}/")
    tool = str(page.locator(".tool .inside").first.get_attribute("hx-get"))
    page.close()
    return {name: path.format(session=session, tool=tool, kept=kept) for name, path in PAGES.items()}


def wait_for(visitor: Person, path: str, place: str, words: str) -> None:
    """Load a page again until it says there what it must."""
    page = visitor.open(path)
    deadline = time.monotonic() + WITHIN_SECONDS
    while words not in page.locator(place).all_inner_texts():
        assert time.monotonic() < deadline, page.locator("main").inner_text()
        page.wait_for_timeout(200)
        page.reload()
    page.close()


@pytest.fixture(scope="module")
def visits() -> dict[str, Visit]:
    return {}


@pytest.fixture(scope="module")
def door(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of somebody who is not signed in."""
    context = chromium.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    yield context
    context.close()


@pytest.fixture(params=PAGES)
def visit(
    request: pytest.FixtureRequest,
    visitor: Person,
    door: BrowserContext,
    places: dict[str, str],
    visits: dict[str, Visit],
) -> Visit:
    """What was seen of a page, looked at once for all the tests of this module."""
    name = request.param
    if name not in visits:
        visits[name] = look_at(visitor, name, places[name], door if name == "sign in" else visitor.context)
    return visits[name]


def look_at(visitor: Person, name: str, path: str, context: BrowserContext) -> Visit:
    visit = Visit(name)
    with visitor.away():  # a page that is not there answers 404, which the browser notes
        page = context.new_page()
        page.on("request", lambda request: visitor._check_host(request.url))
        answers: list[Any] = []
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  (Playwright marks what it is given)
        page.goto(visitor.url + path)
        page.wait_for_load_state("load")
        painted = [answer.request for answer in answers if answer.request.resource_type in _PAINTED]
        visit.sizes = {request.url: request.sizes()["responseBodySize"] for request in painted}
        visit.violations = _violations(page)
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # or colours would be on their way
        visit.violations += _violations(page, only="color-contrast")
        for window, (width, height) in {"phone": PHONE, "wide": WIDE, "widest": WIDEST}.items():
            page.set_viewport_size({"width": width, "height": height})
            visit.overflow[window] = page.evaluate(OVERFLOW)
            visit.overlaps[window] = page.evaluate(f"{_SCRIPT}.overlaps()")
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            visit.ink[scheme] = _ink(visitor, page)
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        visit.ink["phone"] = _ink(visitor, page)
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        visit.moving = page.evaluate(f"{_SCRIPT}.moving()")
        page.keyboard.press("Tab")
        visit.unringed = page.evaluate(f"{_SCRIPT}.unringed()")
        page.emulate_media(forced_colors="active")
        visit.plain_controls = page.evaluate(f"{_SCRIPT}.plain()")
        page.close()
    return visit


def _violations(page: Page, *, only: str = "") -> list[str]:
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if only:
        options["runOnly"] = {"type": "rule", "values": [only]}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for one in found
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


def _ink(visitor: Person, page: Page) -> list[float]:
    picture = base64.b64encode(page.screenshot(animations="disabled")).decode()
    canvas = visitor.context.new_page()  # about:blank has no policy that forbids data: URLs
    grid = canvas.evaluate(f"(given) => {_SCRIPT}.ink(given)", [f"data:image/png;base64,{picture}", GRID])
    canvas.close()
    return list(grid)


def test_the_first_paint_of_a_page_weighs_less_than_60_kilobytes(visit: Visit):
    assert len(visit.sizes) > 3
    assert sum(visit.sizes.values()) < FIRST_PAINT_BYTES, visit.sizes


def test_no_page_asks_another_host(visit: Visit, visitor: Person):
    assert [words for words in visitor.complaints if "another host" in words] == []


def test_axe_finds_nothing_serious_on_a_page(visit: Visit):
    assert visit.violations == []


def test_a_page_never_scrolls_sideways(visit: Visit):
    assert visit.overflow == {"phone": "", "wide": "", "widest": ""}


def test_no_words_of_a_page_lie_over_others(visit: Visit):
    assert visit.overlaps == {"phone": [], "wide": [], "widest": []}


def test_a_page_is_as_whole_in_the_dark_as_in_the_light(visit: Visit):
    if visit.name == "style":
        return  # it shows both themes at once
    differing = [abs(a - b) > 0.25 for a, b in zip(visit.ink["light"], visit.ink["dark"], strict=True)]
    assert sum(differing) / len(differing) < SAME_INK
    assert sum(amount > 0.002 for amount in visit.ink["light"]) > 5, "there is something to see"


def inked(grid: list[float]) -> set[int]:
    """Return the cells of a picture in which something stands."""
    return {place for place, ink in enumerate(grid) if ink > 0.005}


def kept_of(page: str, view: str) -> set[int]:
    bits = json.loads(LOOKS.read_text())[page][view]
    return {place for place, bit in enumerate(f"{int(bits, 16):0{GRID * GRID}b}") if bit == "1"}


def keep(page: str, view: str, cells: set[int]) -> None:
    looks = json.loads(LOOKS.read_text())
    bits = "".join(str(int(place in cells)) for place in range(GRID * GRID))
    looks.setdefault(page, {})[view] = f"{int(bits, 2):x}"
    LOOKS.write_text(json.dumps(looks, indent=1, sort_keys=True) + "\n")


def change(one: set[int], other: set[int]) -> float:
    return len(one ^ other) / len(one | other)


@pytest.mark.parametrize("view", ["light", "phone"])
def test_a_page_looks_as_it_did(visit: Visit, view: str, request: pytest.FixtureRequest):
    cells = inked(visit.ink[view])
    if request.config.getoption("--new-looks"):
        keep(visit.name, view, cells)
    assert change(cells, kept_of(visit.name, view)) < OTHER_LOOKS


@pytest.mark.parametrize("name", ["wall", "session", "figures"])
def test_a_page_without_its_styles_does_not_look_as_it_did(name: str, visitor: Person, places: dict[str, str]):
    with visitor.away():
        page = visitor.context.new_page()
        page.route("**/*.css", lambda route: route.abort())
        page.goto(visitor.url + places[name])
        cells = inked(_ink(visitor, page))
        page.close()
    assert change(cells, kept_of(name, "light")) > 2 * OTHER_LOOKS


def test_whoever_goes_by_keyboard_sees_where_they_are(visit: Visit):
    assert visit.unringed == []


def test_nothing_moves_for_who_wants_no_motion(visit: Visit):
    assert visit.moving == []


def test_with_forced_colours_controls_are_the_systems_own(visit: Visit):
    assert visit.plain_controls == []
