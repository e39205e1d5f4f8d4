"""What agents, tools and repositories write is shown as text, and does nothing: pushed live, loaded, and opened."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person
from tests.hostile import CORPUS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PUSHED = dict(list(CORPUS.items())[:21])
"""Of each kind one or two: what is written everywhere, and while somebody looks."""
UNREPRESENTABLE = "nul \x00 and half \ud800 a pair"
"""Kept as U+FFFD in what agents wrote, refused in names (API.md, Sizes)."""

JUDGE = """() => {
  const faults = [];
  const LEADS = /^(href|src|action|formaction|srcset|data|poster|xlink:href)$/i;
  const FOREIGN = "iframe, object, embed, base, img, picture, video, meta[http-equiv], style, body script";
  const ACTS = "[hx-get], [hx-post], [data-hx-get], [hx-swap-oob], form, input, button";
  for (const element of document.querySelectorAll("*")) {
    const where = `${element.tagName}#${element.id}.${element.getAttribute("class")}`;
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name)) faults.push(`${where} has ${name}`);
      if (!LEADS.test(name)) continue;
      const url = new URL(value, location.href);
      const isMarked = element.matches("a[rel~=noopener][rel~=noreferrer][rel~=nofollow]");
      if (url.origin !== location.origin && !(isMarked && /^(https?|mailto):$/.test(url.protocol)))
        faults.push(`${where} ${name}=${value.slice(0, 60)}`);
    }
    if (element.matches(FOREIGN)) faults.push(where);
    if (element.matches(ACTS) && element.closest(".prose, pre, code, td")) faults.push(`${where} acts`);
  }
  const text = document.documentElement.textContent;
  for (const code of [0x202e, 0x2066, 0x1b, 0x9b, 0x07, 0x08, 0x7f, 0])
    if (text.includes(String.fromCodePoint(code))) faults.push(`raw U+${code.toString(16)}`);
  if (document.querySelectorAll("h1").length !== 1) faults.push("a second h1");
  return faults;
}"""
"""What a page must not have, whatever was written into its sessions."""

ALL_FILLED_MS = 30_000
"""Every closed part is opened at once, some two hundred requests; that all come is asked here, not how fast."""


def attack(agent: Agent, session: str, name: str, text: str) -> None:
    """Let an agent write `text` wherever it can."""
    label = text.encode("utf-8", "replace").decode().replace("\0", "?")[:200]  # as names must be
    call = {"id": name, "function_name": label, "arguments": json.dumps({label: text[:1000], "path": text})}
    agent.say(session, text, role="user")
    agent.say(session, text, tool_calls=[call], agent_name=label)
    agent.say(session, text, role="tool", tool_call_id=name)
    agent.say(session, text, role="system")
    edit: dict[str, Any] = {"old_string": text[:2000], "new_string": text[:3000], "file_path": text[:200]}
    agent.tell(
        session,
        {"type": "text_delta", "text": text[:20_000]},
        {"type": "tool_call_start", "id": f"{name} live", "name": label, "args": {"command": text, **edit}},
        {"type": "tool_call_result", "id": f"{name} live", "name": "Edit", "output": text, "is_error": True},
        {"type": "tool_call_start", "id": f"{name} open", "name": "Edit", "args": edit},
        {"type": "warn", "message": text},
        {"type": label[:100], label[:50]: text},
    )


def judge(page: Page, where: str) -> None:
    assert page.evaluate(JUDGE) == [], where


@pytest.fixture(scope="module")
def attacked(agent: Agent) -> str:
    """A session whose every part is hostile, already there when pages are loaded."""
    session = agent.start("The attacked")
    for name, text in {**PUSHED, "nul": UNREPRESENTABLE}.items():
        attack(agent, session, name, text)
    return session


def test_hostile_words_do_nothing_when_they_are_pushed(person: Person, agent: Agent):
    session = agent.start("Attacked while you look")
    page = person.open_live(f"/sessions/{session}/")
    events = person.open_live(f"/sessions/{session}/?tab=events")
    wall = person.open_live("/?q=look")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    for name, text in {**PUSHED, "nul": UNREPRESENTABLE}.items():
        attack(agent, session, name, text)
    agent.say(session, "the end of it")
    expect(page.locator("#transcript .message").last).to_contain_text("the end of it", timeout=20_000)
    expect(page.locator("#transcript")).to_contain_text("<script>alert(1)</script>")
    expect(events.locator(".event").last).to_be_attached()
    expect(wall.locator(".session", has_text="Attacked while you look").locator(".now")).to_be_visible()
    for tab, where in ((page, "transcript"), (events, "events"), (wall, "wall")):
        judge(tab, where)
        expect(tab.locator("#fresh")).to_have_attribute("data-state", "live")
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "error", "message": PUSHED["script"]}})


def test_hostile_words_do_nothing_when_they_are_loaded_and_opened(person: Person, attacked: str):
    page = person.open_live(f"/sessions/{attacked}/")
    judge(page, "transcript")
    page.evaluate("for (const details of document.querySelectorAll('details:not(.me)')) details.open = true")
    expect(page.locator(".tool:last-of-type > .inside > a")).to_have_count(0, timeout=ALL_FILLED_MS)
    judge(page, "transcript with everything open")
    link = page.get_by_role("link", name="d", exact=True).first
    assert set((link.get_attribute("rel") or "").split()) >= {"noopener", "noreferrer", "nofollow"}
    events = person.open_live(f"/sessions/{attacked}/?tab=events")
    events.evaluate("for (const details of document.querySelectorAll('.event details')) details.open = true")
    expect(events.locator(".event .inside > a")).to_have_count(0, timeout=ALL_FILLED_MS)
    judge(events, "events with everything open")


def test_the_whole_corpus_on_one_page_is_readable_and_does_nothing(person: Person, agent: Agent):
    session = agent.start("The whole corpus")
    calls = [{"id": name, "function_name": "Read", "arguments": "{}"} for name in CORPUS]
    for start in range(0, len(calls), 20):
        some = calls[start : start + 20]
        texts = [CORPUS[call["id"]][:20_000] for call in some]
        said = [{"role": "assistant", "content": text, "thinking": text[:500]} for text in texts]
        asked = {"role": "assistant", "content": "", "tool_calls": some}
        results = [
            {"role": "tool", "content": text, "tool_call_id": call["id"]}
            for call, text in zip(some, texts, strict=True)
        ]
        agent.post(f"sessions/{session}/messages", {"messages": [*said, asked, *results]})
    page = person.open_live(f"/sessions/{session}/")
    first = page.locator("#older a")
    while first.count():  # all of it at once, however it is cut into blocks
        page.evaluate("document.querySelector('.transcript').dataset.limit = 10000; scrollTo(0, 0)")
        page.wait_for_timeout(100)
    page.evaluate("for (const details of document.querySelectorAll('details:not(.me)')) details.open = true")
    expect(page.locator(".tool > .inside > a")).to_have_count(0, timeout=ALL_FILLED_MS)
    expect(page.locator(".message .prose")).not_to_have_count(0)
    judge(page, "the corpus")


def test_hostile_titles_are_text_on_every_page(person: Person, agent: Agent):
    titles = [text for name, text in PUSHED.items() if name != "long"] + ["long " + "y" * 495]
    for text in titles:
        facts = {"agent_name": text[:200], "project_root": f"/w/{text[:200]}", "model": text[:200]}
        agent.start(f"titled {text}"[:500], **facts)
    wall = person.open_live("/?q=titled")
    expect(wall.locator(".session")).to_have_count(len(titles))
    judge(wall, "wall")
    paths = wall.locator(".session .title").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    for path in paths:
        wall.goto(person.url + path)
        judge(wall, path)
    agent.post("sessions", {"agent_name": "koda", "title": "nul \x00"}, code=422)


@pytest.mark.parametrize("kind", ["approval_request", "ask_user_request"])
def test_hostile_requests_are_text_and_their_buttons_are_ours(person: Person, agent: Agent, kind: str):
    session = agent.start("Hostile requests")
    page = person.open_live(f"/sessions/{session}/")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    for name, text in PUSHED.items():
        if name == "long":
            continue
        preview = {
            "kind": "Edit",
            "path": text[:200],
            "replacements": [{"index": 1, "total": 1, "start_line": 1, "old_lines": [text], "new_lines": [text, text]}],
            "truncated_count": 0,
        }
        facts = {"tool_name": text[:200], "detail": text, "preview": preview}
        if kind == "ask_user_request":
            facts = {"question": text, "options": [text[:200], "Keep"]}
        agent.tell(session, {"type": kind, "id": name, **facts})
    expect(page.locator(".ask")).to_have_count(len(PUSHED) - 1)
    judge(page, kind)
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "cancelled"}})
