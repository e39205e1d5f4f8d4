"""Agent output is hostile: whatever stands in it, the page holds no element and no attribute that we did not write."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions import protocol, transcripts
from sessions.models import EventDraft, File, Metadata
from sessions.templatetags.prose import TAGS, prose
from sessions.web.tabs import TABS
from tests.factories import make_events, make_message, make_session
from tests.hostile import CORPUS
from tests.web.markup import parse

ATTACKS = {name: text[:50_000] for name, text in CORPUS.items()}


def batches(count):
    """Return the attacks in lists of so many, each with the name of its first."""
    names = list(ATTACKS)
    starts = range(0, len(names), count)
    return [pytest.param([ATTACKS[name] for name in names[at : at + count]], id=names[at]) for at in starts]


OURS = {"a", "article", "b", "button", "code", "details", "div", "header", "span", "summary", "svg", "time", "use"}
HIDING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff\x00\x07\x08\x1b\u2028\u2029")


def check_clean(root):
    """Assert that nothing below `root` runs, loads, frames, submits elsewhere, hides or reorders."""
    for element in root.all():
        assert element.tag not in {"script", "style", "iframe", "object", "embed", "img", "base", "link", "meta"}
        assert not [name for name in element.attrs if name.startswith("on") or name in {"style", "srcdoc", "src"}]
        link = element.attrs.get("href", "")
        assert link.startswith(("/", "?", "#", "http://", "https://", "mailto:")) or not link, link
    assert not HIDING & set(root.text)


@pytest.mark.parametrize("attacks", batches(5))
def test_messages_are_harmless(owner, reader, attacks):
    session = make_session(owner)
    for attack in attacks:
        for role in ("user", "assistant", "system", "tool"):
            make_message(session, role=role, content=attack, thinking=attack)
    shown = parse(reader.get(f"/sessions/{session.uuid}/").content)
    assert len(shown.all("article", "message")) == 4 * len(attacks)
    assert len(shown.all("h1")) == 1
    for message in shown.all("article", "message"):
        check_clean(message)
        words = [link for prose in message.all("div", "prose") for link in prose.all("a")]
        for link in words:
            assert link.attrs.get("rel") == "noopener noreferrer nofollow"
            assert not link.attrs.get("href", "").startswith("/")


@pytest.mark.slow
@pytest.mark.parametrize("attacks", batches(10))
def test_names_arguments_outputs_and_requests_are_harmless(owner, reader, attacks):
    names = [attack.replace("\x00", "")[:300] for attack in attacks]
    first = names[0]
    session = make_session(owner, title=first, agent_name=first, project_root=f"/srv/{first}", model=first)
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    for at, (name, attack) in enumerate(zip(names, attacks, strict=True)):
        call = {"id": f"m{at}", "name": name, "arguments": {name: attack, "command": attack}}
        make_message(session, role="assistant", content="x", tool_calls=[call], agent_name=name, model=name)
        make_message(session, role="tool", tool_call_id=f"m{at}", content=attack)
        preview = {"replacements": [{"old_lines": [attack], "new_lines": [attack, attack]}]}
        asked = {"tool_name": name, "detail": attack, "preview": preview, "turn_id": "t"}
        make_events(
            session,
            {"type": "tool_call_start", "id": f"e{at}", "name": name, "args": {"command": attack}, "turn_id": "t"},
            {"type": "approval_request", "id": f"q{at}", **asked},
        )
        Metadata.objects.put(session, f"{at} {name}", attack)
        File.objects.own(session, f"{at} {name}")
    Metadata.objects.put(session, "todo", "".join(f"- [ ] {attack}\n" for attack in attacks))
    base = f"/sessions/{session.uuid}/"
    plain = [f"{base}tools/{pk}/" for pk in session.tool_calls.values_list("pk", flat=True)]
    events = [f"{base}events/{seq}/" for seq in session.events.values_list("seq", flat=True)]
    tabs = [f"{base}?tab={tab}" for tab in TABS]
    for url in ("/", *tabs, *events, f"{base}delete/", f"{base}?find=alert", *plain):
        response = reader.get(url)
        assert response.status_code == 200
        main = parse(response.content).one("main")
        assert len(main.all("h1")) == 1, url
        assert not HIDING & set(main.text), url
        check_clean(main)


@pytest.mark.parametrize("attacks", batches(25))
def test_names_of_sessions_are_harmless_wherever_they_stand(owner, reader, attacks):
    names = [attack.replace("\x00", "")[:300] for attack in attacks]
    facts = [{"title": name, "agent_name": name, "project_root": f"/srv/{name}", "model": name} for name in names]
    sessions = [make_session(owner, **one) for one in facts]
    bases = [f"/sessions/{session.uuid}/" for session in sessions]
    for url in ("/", "/sessions/", *bases, *(f"{base}delete/" for base in bases)):
        response = reader.get(url)
        assert response.status_code == 200
        main = parse(response.content).one("main")
        assert len(main.all("h1")) == 1, url
        assert not HIDING & set(main.text), url
        check_clean(main)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from([*"<>\"'`*_[]()!#|-\n &;:/\\", "a", "script", "href=", "onx="]), max_size=80).map(
        "".join
    )
)
def test_no_text_becomes_a_tag_or_an_attribute_of_its_own(text):
    root = parse(prose(text))
    for element in root.all():
        assert element.tag in TAGS
        if element.tag == "input":  # a box of a list of tasks, which does nothing
            assert (element.attrs["type"], element.attrs["disabled"]) == ("checkbox", "")
            assert set(element.attrs) <= {"type", "disabled", "checked", "aria-label"}
            continue
        assert set(element.attrs) <= {"href", "title", "rel", "target", "class", "start", "tabindex"}
        assert not element.attrs.get("href") or element.attrs["href"].startswith(("http://", "https://", "mailto:"))


def test_hidden_text_is_spelled_out(owner, reader):
    session = make_session(owner)
    make_message(session, content="hello\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065")
    assert "hello⟦hidden: ignore⟧" in parse(reader.get(f"/sessions/{session.uuid}/").content).one("article").text


def test_a_streamed_half_of_an_attack_is_harmless_too(owner, reader):
    session = make_session(owner)
    protocol.ingest(
        session.pk,
        [
            EventDraft(type="turn_start", turn_id="t"),
            EventDraft(type="text_delta", payload={"text": "```html\n<script>alert("}),
            EventDraft(type="thinking_delta", payload={"text": "<img src=x onerror="}),
        ],
    )
    check_clean(parse(reader.get(f"/sessions/{session.uuid}/").content).by_id("now"))


def test_a_tool_row_of_a_message_without_ids_is_shown_as_text(owner, reader):
    session = make_session(owner)
    calls = [{"name": "<b>x</b>"}, {"function": {"name": "Read"}}, "no object", {"id": 7}]
    transcripts.append(session.pk, [transcripts.MessageDraft(role="assistant", content=None, tool_calls=calls)])
    rows = parse(reader.get(f"/sessions/{session.uuid}/").content).all("p", "tool")
    assert [row.text for row in rows] == ["<b>x</b> without an id", "Read without an id", "? without an id"]
