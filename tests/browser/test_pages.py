"""Pages as they stand: on a phone, without JavaScript, under attack, by keyboard."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
SCRIPTLESS = {"java_script_enabled": False}
ATTACKS = [
    "<script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "[click](javascript:document.title='owned') ![x](https://elsewhere.example/track.png)",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "\x1b[31mred\x1b[0m \u202egnp.exe \x00 \x07",
    "<iframe src='https://elsewhere.example'></iframe><style>*{display:none}</style>",
    "```html\n<script>alert(1)</script>\n```",
    "x" * 20_000,
]


@pytest.fixture(scope="module")
def busy(agent: Agent) -> str:
    """A session with all that a transcript can have, and others around it."""
    for number in range(12):
        other = agent.start(f"An older session with rather a long title, number {number}")
        agent.say(other, f"Done: {number}")
    session = agent.start("Everything at once")
    call = {
        "id": "c1",
        "function_name": "Edit",
        "arguments": '{"file_path": "a/b.py", "old_string": "x = 1", "new_string": "x = 2"}',
    }
    agent.say(session, "Please change it", role="user")
    agent.say(session, "I do:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint(1)\n```", tool_calls=[call])
    agent.say(session, "ok", role="tool", tool_call_id="c1")
    agent.tell(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "c2", "name": "Bash", "args": {"command": "make " + "very-" * 40 + "long"}},
        {"type": "ask_user_request", "id": "q", "question": "Keep or replace?", "options": ["Keep", "Replace"]},
    )
    return session


@pytest.mark.parametrize("person", [PHONE, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_no_page_scrolls_sideways_on_a_phone(person: Person, busy: str):
    for path in ("/", "/sign-in/", f"/sessions/{busy}/", f"/sessions/{busy}/?tab=events", f"/sessions/{busy}/delete/"):
        page = person.open(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path} is {width} px wide"
        page.close()


@pytest.mark.parametrize("person", [PHONE], indirect=True)
def test_a_thumb_answers_on_the_wall(person: Person, agent: Agent):
    session = agent.start("Thumb")
    agent.tell(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "ls", "preview": None},
    )
    wall = person.open("/")
    button = wall.locator(".session", has_text="Thumb").get_by_role("button", name="Approve")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 36
    button.tap()
    expect(wall.locator(".toast", has_text="Approved.")).to_be_visible()
    assert len(agent.commands(session)) == 1


@pytest.mark.parametrize("person", [SCRIPTLESS], indirect=True)
def test_without_javascript_pages_read_and_forms_work(person: Person, agent: Agent):
    session = agent.start("Plain old page")
    agent.say(session, "It reads")
    agent.tell(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "ls", "preview": None},
    )
    page = person.open("/")
    page.get_by_role("link", name="Plain old page").click()
    expect(page.locator("#transcript")).to_contain_text("It reads")
    page.locator(".ask").get_by_role("button", name="Approve").click()
    expect(page.locator(".toasts")).to_contain_text("Approved.")
    assert len(agent.commands(session)) == 1
    page.locator(".rename summary").click()
    page.get_by_label("Title").fill("Renamed by hand")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("h1")).to_have_text("Renamed by hand")
    page.get_by_role("button", name="Make public").click()
    expect(page.get_by_role("button", name="Make private")).to_be_visible()
    page.get_by_role("link", name="Events").click()
    expect(page.locator("#events")).to_contain_text("approval_request")
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".toasts")).to_contain_text("Deleted")
    expect(page.get_by_role("link", name="Renamed by hand")).to_have_count(0)


def test_what_agents_write_does_no_harm_loaded_or_pushed(person: Person, agent: Agent):
    session = agent.start("<b>Attack</b> & \u202etitle")
    page, wall = person.open(f"/sessions/{session}/"), person.open("/")
    expect(page.locator(".fresh")).to_have_attribute("data-state", "live")
    for attack in ATTACKS:
        agent.say(session, attack)
        agent.tell(
            session,
            {
                "type": "tool_call_start",
                "id": attack[:8].strip(chr(0)) or "i",
                "name": "Bash",
                "args": {"command": attack},
            },
        )
    for view in (page, person.open(f"/sessions/{session}/")):
        expect(view.locator("#transcript .message")).to_have_count(len(ATTACKS))
        inside = view.locator("#transcript, #now")
        assert inside.locator("script, iframe, style, img, [onerror], [onload], a[href^=javascript]").count() == 0
        assert view.title() != "owned"
    expect(wall.locator(".session", has_text="<b>Attack</b>")).to_be_visible()


def test_the_keyboard_walks_opens_finds_and_explains(person: Person, busy: str):
    wall = person.open("/")
    expect(wall.locator(".fresh")).to_have_attribute("data-state", "live")
    wall.keyboard.press("j")
    wall.keyboard.press("j")
    wall.keyboard.press("k")
    first = wall.locator(".session").first
    expect(first).to_have_attribute("aria-current", "true")
    wall.keyboard.press("?")
    expect(wall.locator("#keys")).to_be_visible()
    wall.keyboard.press("Escape")
    wall.keyboard.press("/")
    expect(wall.locator("input[type=search]:focus")).to_have_count(1)
    wall.keyboard.type("Everything at once")
    expect(wall.locator(".session:visible")).to_have_count(1)
    wall.locator(".session .title", has_text="Everything at once").click()
    expect(wall.locator("h1")).to_have_text("Everything at once")


def test_the_theme_that_was_chosen_stays(person: Person):
    page = person.open("/")
    page.locator(".me summary").click()
    page.get_by_label("Theme").select_option("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert person.open("/").locator("html").get_attribute("data-theme") == "dark"


def test_old_messages_come_as_one_scrolls_up_and_the_page_stays_small(person: Person, agent: Agent):
    session = agent.start("A very long one")
    for start in range(0, 1500, 500):
        batch = [{"role": "assistant", "content": f"message {start + number}"} for number in range(500)]
        agent.post(f"sessions/{session}/messages", {"messages": batch})
    page = person.open(f"/sessions/{session}/")
    expect(page.locator("#transcript .message").last).to_contain_text("message 1499")
    page.mouse.move(600, 500)
    for _ in range(3):
        first = page.locator("#transcript .message").first
        before = str(first.get_attribute("id"))
        page.evaluate("scrollTo(0, 0)")
        page.mouse.wheel(0, -2000)
        expect(first).not_to_have_attribute("id", before)
    expect(page.locator("#transcript")).to_contain_text("message 1100")
    assert page.locator("#transcript .message").count() <= 620
