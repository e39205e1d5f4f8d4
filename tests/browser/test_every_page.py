"""What holds for every page of the list: light to load, for every eye and hand, whole in both themes and all widths.

How full of ink each part of a page is, wide and on a phone, stands in looks.json; `--new-looks` writes it anew, to be
looked at in pictures first.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import PICTURES, Person, Prepared, agent_at, browsing
from tests.browser.pages import PAGES, break_things, form_of, furnish, rename_table, save_states, share, throw_away
from tests.browser.test_narrow import OVERFLOW
from tests.browser.test_without_script import SENT
from tests.conftest import OWNER, Server, stop_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST_PAINT_BYTES = 60_000
PHONE, WIDE, WIDEST = (390, 844), (1440, 900), (2200, 1000)
PAPER: Any = {"width": 718, "height": 1047}
"""A sheet of A4 within the margins that the browser leaves."""
GRID = 24
WITHIN_SECONDS = 60
LATER = "86400"
"""Seconds. A session stuck while the pages are looked at would be told of, and they would not look as they did."""
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
    hosts: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    overflow: dict[str, str] = field(default_factory=dict)
    overlaps: dict[str, list[str]] = field(default_factory=dict)
    ink: dict[str, list[float]] = field(default_factory=dict)
    unringed: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)
    plain_controls: list[str] = field(default_factory=list)
    on_paper: dict[str, Any] = field(default_factory=dict)
    forms: set[str] = field(default_factory=set)


@dataclass
class Site:
    """A server, what each place on it is filled in with, and the browsers of those who look at it."""

    server: Server
    words: dict[str, str]
    chromium: Browser
    request: pytest.FixtureRequest
    stack: ExitStack
    people: dict[str, Person] = field(default_factory=dict)

    def person(self, name: str) -> Person:
        """Return somebody with a browser of their own."""
        if name not in self.people:
            someone = self.stack.enter_context(browsing(self.chromium, self.server, self.request))
            if name:
                someone.come_in(name)
            self.people[name] = someone
        return self.people[name]


@pytest.fixture(scope="module")
def full(
    serve: Callable[..., Server], prepared: Prepared, chromium: Browser, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """A site that shows what is furnished here and nothing else."""
    server = serve(KODA_WEBHOOK_PRIVATE="on", KODA_STUCK_AFTER=LATER)
    with ExitStack() as stack:
        stack.callback(stop_server, server)
        site = Site(server, {}, chromium, request, stack)
        agent = agent_at(server, prepared.key)
        throw_away(agent, server)
        site.words |= {"shared": share(agent), "kept": save_states(agent), "session": furnish(agent)}
        count = len(agent.client.get("/api/v1/sessions").json()["items"]) + 1
        agent.client.close()
        visitor = site.person(OWNER)
        wait_for(visitor, "/storage/", "tfoot td.n >> nth=0", str(count))  # sizes are measured after the write
        wait_for(visitor, "/search/?q=charts", ".hit a.cut", "Sea charts")  # what came last is found last
        site.words |= {
            "tool": found_at(visitor, f"/sessions/{site.words['session']}/", ".tool .inside", "hx-get"),
            "receipt": found_at(visitor, "/storage/receipts/", "tbody a", "href"),
            "webhook": add_webhook(visitor),
        }
        yield site


@pytest.fixture(scope="module")
def bare(serve: Callable[..., Server], chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site on which nobody has said anything yet."""
    with ExitStack() as stack:
        server = serve()
        stack.callback(stop_server, server)
        yield Site(server, {}, chromium, request, stack)


@pytest.fixture(scope="module")
def broken(serve: Callable[..., Server], chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site whose database somebody else has written into, and that goes by one name only."""
    with ExitStack() as stack:
        server = serve(KODA_ALLOWED_HOSTS="127.0.0.1")
        stack.callback(stop_server, server)
        break_things(server)
        yield Site(server, {"port": str(server.port)}, chromium, request, stack)


def wait_for(visitor: Person, path: str, place: str, words: str) -> None:
    """Load a page again until it says there what it must."""
    page = visitor.open(path)
    deadline = time.monotonic() + WITHIN_SECONDS
    while words not in page.locator(place).all_inner_texts():
        assert time.monotonic() < deadline, page.locator("main").inner_text()
        page.wait_for_timeout(200)
        page.reload()
    page.close()


def found_at(visitor: Person, path: str, place: str, attribute: str) -> str:
    """Return where a page leads to there."""
    page = visitor.open(path)
    address = str(page.locator(place).first.get_attribute(attribute))
    page.close()
    return address


def add_webhook(visitor: Person) -> str:
    """Add a webhook that nobody answers at, let it be tried, and return its page."""
    page = visitor.open("/account/alerts/")
    page.get_by_label("Address").fill("http://127.0.0.1:9/hook")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Test").click()
    page.locator("#deliveries tbody", has_text="again at").wait_for()
    page.close()
    return found_at(visitor, "/account/alerts/", "tbody a", "href")


@pytest.fixture(scope="module")
def visits() -> dict[str, Visit]:
    return {}


@pytest.fixture(params=PAGES)
def visit(request: pytest.FixtureRequest, visits: dict[str, Visit]) -> Visit:
    """What was seen of a page, looked at once for all the tests of this module."""
    name = request.param
    if name not in visits:
        place = PAGES[name]
        site: Site = request.getfixturevalue(place.site)
        folder = PICTURES / "pages" if request.config.getoption("--new-looks") else None
        visits[name] = look_at(site.person(place.who), name, place.path.format(**site.words), place.do, folder)
    return visits[name]


def look_at(
    visitor: Person, name: str, path: str, do: Callable[[Page], None] | None, folder: Path | None = None
) -> Visit:
    """Open a page and note what the tests ask for; leave pictures for a person's eyes in a folder."""
    visit = Visit(name)
    with visitor.away():  # a page that is not there answers 404, which the browser notes
        page = visitor.context.new_page()
        answers = _heard_by(page, visit)
        page.goto(path if path.startswith("http") else visitor.url + path)
        if do is not None:
            do(page)
        page.wait_for_load_state("load")
        # A page that tries again by itself stays while it is looked at.
        page.route("**", _stay)
        painted = [answer.request for answer in answers if answer.request.resource_type in _PAINTED]
        visit.sizes = {request.url: request.sizes()["responseBodySize"] for request in painted}
        visit.forms = {form_of(method, url) for method, url in page.evaluate(f"{_SCRIPT}.forms()")}
        visit.violations = violations(page)
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # or colours would be on their way
        visit.violations += violations(page, only="color-contrast")
        for window, (width, height) in {"phone": PHONE, "wide": WIDE, "widest": WIDEST}.items():
            page.set_viewport_size({"width": width, "height": height})
            visit.overflow[window] = page.evaluate(OVERFLOW)
            visit.overlaps[window] = page.evaluate(f"{_SCRIPT}.overlaps()")
        if folder is not None:
            _take(page, folder, f"{name}-widest")
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            visit.ink[scheme] = _ink(visitor, _take(page, folder, f"{name}-{scheme}"))
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        visit.ink["phone"] = _ink(visitor, _take(page, folder, f"{name}-phone"))
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        visit.moving = page.evaluate(f"{_SCRIPT}.moving()")
        page.keyboard.press("Tab")
        visit.unringed = page.evaluate(f"{_SCRIPT}.unringed()")
        page.emulate_media(forced_colors="active")
        visit.plain_controls = page.evaluate(f"{_SCRIPT}.plain()")
        page.emulate_media(media="print", forced_colors="none", color_scheme="dark")
        page.set_viewport_size(PAPER)
        visit.on_paper = page.evaluate(f"{_SCRIPT}.printed()")
        page.close()
    return visit


def _stay(route: Route) -> None:
    if route.request.is_navigation_request():
        route.abort("aborted")
    else:
        route.continue_()


def _heard_by(page: Page, visit: Visit) -> list[Any]:
    """Return what the page is answered since it was last asked for, as on a first visit: nothing is kept."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")  # or the next is without effect, and what was kept weighs nothing
    network.send("Network.setCacheDisabled", {"cacheDisabled": True})
    answers: list[Any] = []

    def ask(request: Any) -> None:
        if request.is_navigation_request():
            answers.clear()
            visit.hosts.clear()
        if not request.url.startswith("data:"):
            visit.hosts.add(urlsplit(request.url).netloc)

    page.on("request", ask)
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  (Playwright marks what it is given)
    return answers


def violations(page: Page, *, only: str = "") -> list[str]:
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


def _take(page: Page, folder: Path | None, name: str) -> bytes:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name.replace(' ', '-')}.png", full_page=True, animations="disabled")
    return page.screenshot(animations="disabled")


def _ink(visitor: Person, picture: bytes) -> list[float]:
    """Return how full of ink each cell of a picture is."""
    canvas = visitor.context.new_page()  # about:blank has no policy that forbids data: URLs
    given = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    grid = canvas.evaluate(f"(given) => {_SCRIPT}.ink(given)", [given, GRID])
    canvas.close()
    return list(grid)


def test_the_first_paint_of_a_page_weighs_less_than_60_kilobytes(visit: Visit):
    assert len(visit.sizes) > 3
    assert min(visit.sizes.values()) > 0, "nothing came from the browser's own store"
    assert sum(visit.sizes.values()) < FIRST_PAINT_BYTES, visit.sizes


def test_no_page_asks_another_host(visit: Visit):
    assert len(visit.hosts) == 1


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


def test_a_page_whose_database_was_away_comes_by_itself(broken: Site):
    with broken.person(OWNER).away():
        rename_table(broken.server, "koda_sessions_apikey", "keys_taken_away")
        page = broken.person(OWNER).open("/connect/")
        expect(page.get_by_role("heading", name="The database does not answer")).to_be_visible()
        rename_table(broken.server, "keys_taken_away", "koda_sessions_apikey")
        expect(page.get_by_role("heading", name="Connect", exact=True)).to_be_visible(timeout=WITHIN_SECONDS * 1000)
        page.close()


@pytest.mark.parametrize("name", ["wall", "session", "figures"])
def test_a_page_without_its_styles_does_not_look_as_it_did(name: str, full: Site):
    visitor = full.person(OWNER)
    with visitor.away():
        page = visitor.context.new_page()
        page.route("**/*.css", lambda route: route.abort())
        page.goto(visitor.url + PAGES[name].path.format(**full.words))
        cells = inked(_ink(visitor, page.screenshot(animations="disabled")))
        page.close()
    assert change(cells, kept_of(name, "light")) > 2 * OTHER_LOOKS


def test_whoever_goes_by_keyboard_sees_where_they_are(visit: Visit):
    assert visit.unringed == []


def test_nothing_moves_for_who_wants_no_motion(visit: Visit):
    assert visit.moving == []


def test_with_forced_colours_controls_are_the_systems_own(visit: Visit):
    assert visit.plain_controls == []


def test_every_form_of_a_page_is_sent_by_a_test_without_script(visit: Visit):
    assert visit.forms <= SENT


def test_paper_has_the_words_of_a_page_and_none_of_its_handles(visit: Visit):
    paper = visit.on_paper
    assert paper["handles"] == []
    assert paper["fixed"] == []
    assert paper["cut"] == []
    assert paper["scheme"] == "light"
    assert paper["words"] > 0
