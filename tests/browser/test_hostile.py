"""What agents, tools and repositories write is shown as text, and does nothing: pushed live, loaded, and opened."""

import json
from pathlib import Path
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
  const BOX = "input[type=checkbox][disabled]:not([name], [id], [form])";
  const ACTS = `[hx-get], [hx-post], [data-hx-get], [hx-swap-oob], form, input:not(${BOX}), button`;
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


INERT = """() => {
  const faults = [];
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name)) faults.push(`${element.tagName} has ${name}`);
      if (!/^(href|src|action|formaction|data|poster|xlink:href)$/i.test(name)) continue;
      const url = new URL(value, location.href);
      const isMarked = element.matches("a[rel~=noopener]");
      if (url.origin !== location.origin && !isMarked) faults.push(`${name}=${value.slice(0, 60)}`);
    }
  }
  if (document.querySelectorAll("iframe, object, embed, base, math, form#transcript").length) faults.push("foreign");
  return faults;
}"""
"""What a page must not have that is put together by others: the admin's, and a file that was exported."""


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


def surround(agent: Agent, session: str, texts: dict[str, str]) -> None:
    """Let `texts` stand in all that is kept beside the messages of a session."""
    agent.put(session, "todo", {"content": "".join(f"- [ ] {text[:2000]}\n" for text in texts.values())})
    for at, text in enumerate(texts.values()):
        name = text.replace("\0", "")[:200]
        agent.put(session, f"metadata/{at}", {"value": text[:5000]})
        agent.put(session, "files", {"path": f"/w/{at} {name}"})


def keep_checkpoints(agent: Agent, texts: dict[str, str]) -> str:
    """Let there be a session of two checkpoints that differ in `texts`."""
    histories = [[{"role": "user", "content": "begin"}]]
    said = [{"role": "assistant", "content": text[:5000]} for text in texts.values()]
    call = {"type": "function", "function": {"name": said[0]["content"], "arguments": said[1]["content"]}}
    made = [{"role": "assistant", "content": None, "tool_calls": [{"id": "c", **call}]}]
    histories.append([*histories[0], *said, *made])
    state = {"messages": histories[1], "metadata": {text[:200]: text[:2000] for text in texts.values()}}
    begun = agent.client.post("/v1/sessions", json={"title": said[0]["content"], "state": {"messages": histories[0]}})
    assert begun.status_code == 201, begun.text
    session = str(begun.json()["session_id"])
    answer = agent.client.post(f"/v1/sessions/{session}/checkpoints", json={"state": state})
    assert answer.status_code == 201, answer.text
    return session


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


def test_hostile_words_do_nothing_in_any_other_place(person: Person, agent: Agent):
    texts = {name: text for name, text in CORPUS.items() if len(text) < 5000}
    name = texts["script"] + texts["attribute"]
    session = agent.start(name[:500], agent_name=name[:200], project_root=f"/w/{name[:200]}", model=name[:200])
    surround(agent, session, texts)
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    for number, text in enumerate([texts["script"], texts["svg"], texts["bidi"], texts["cursor"]]):
        attack(agent, session, f"place {number}", text)
        asked = {"tool_name": text[:200], "detail": text, "preview": {"kind": "Edit", "path": text[:200]}}
        agent.tell(session, {"type": "approval_request", "id": f"place {number}", **asked})
    kept = keep_checkpoints(agent, texts)
    base, saved = f"/sessions/{session}/", f"/sessions/{kept}/"
    pages = [f"{base}?tab={tab}" for tab in ("timeline", "usage", "todo", "files", "metadata", "events")]
    pages += [f"{saved}checkpoints/", f"{saved}checkpoints/?from=1&to=2", saved, f"{base}?find=alert"]
    pages += [f"{base}{act}/" for act in ("export", "fork", "compact", "delete")]
    pages += ["/", "/inbox/", "/sessions/", "/search/?q=alert", "/figures/?days=7", "/storage/"]
    page = person.open(pages[0])
    for path in pages:
        page.goto(person.url + path)
        page.evaluate("for (const details of document.querySelectorAll('details:not(.me)')) details.open = true")
        judge(page, path)
        assert "alert(1)" in page.locator("main").inner_text() or path == f"{base}?tab=usage", path
    for kind in ("session", "message", "toolcall", "event", "request", "metadata", "file", "checkpoint"):
        page.goto(f"{person.url}/admin/koda_sessions/{kind}/")
        assert page.evaluate(INERT) == [], kind
        first = page.locator("#result_list th a").first
        if first.count():
            first.click()
            assert page.evaluate(INERT) == [], kind
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "cancelled"}})


def test_hostile_words_do_nothing_in_an_exported_file(person: Person, attacked: str, tmp_path: Path):
    answer = person.context.request.get(f"{person.url}/sessions/{attacked}/export/?format=html")
    file = tmp_path / "session.html"
    file.write_bytes(answer.body())
    page = person.context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    page.goto(file.as_uri())
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    expect(page.locator("article").first).to_contain_text("<script>alert(1)</script>")
    assert page.evaluate(INERT) == []
    assert page.locator("script, img, input:not([disabled])").count() == 0
    assert [url for url in asked if url != file.as_uri()] == []
