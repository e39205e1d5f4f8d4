"""docs/events.md has a heading for each kind of event, and none for what is no event."""

import re

from sessions.engine_events import REQUIRED_TEXT
from sessions.protocol import EFFECTS
from tests.conftest import ROOT

KODA_TYPES = {
    "text_delta", "text_done", "thinking_start", "thinking_delta", "thinking_done", "response_start",
    "tool_call_start", "tool_call_result", "sub_agent_start", "approval_request", "action_blocked", "status_update",
    "footer", "spinner_start", "spinner_stop", "turn_start", "turn_end", "loop_cap_reached", "info", "warn", "error",
}  # fmt: skip
"""Koda's EngineEvent of 0.1.10; what EFFECTS knows beyond it came later."""


def find_server_types() -> set[str]:
    """Return the types of the events that our code records."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sessions").rglob("*.py")]
    return {name for text in sources for name in re.findall(r'type="(server\.[a-z_]+)"', text)}


def read_sections() -> dict[str, str]:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    parts = re.split(r"^### (\S+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_kind_of_event_has_its_heading():
    assert len(find_server_types()) > 10
    assert set(read_sections()) == KODA_TYPES | set(EFFECTS) | find_server_types()


def test_every_field_that_is_needed_is_said():
    sections = read_sections()

    for kind, fields in REQUIRED_TEXT.items():
        first_sentence = sections[kind].strip().partition(";")[0]
        assert first_sentence.startswith("Needs"), kind
        for field in fields:
            assert f"`{field}`" in first_sentence, (kind, field)


def test_what_is_said_to_move_nothing_has_no_effect():
    for kind, text in read_sections().items():
        if not kind.startswith("server."):
            assert ("Moves nothing" in text) == (kind not in EFFECTS), kind
