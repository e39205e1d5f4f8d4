"""docs/protocol.md is true: each event and command in it is taken, and none is missing."""

import json
import re
import shutil
import subprocess

import pytest

from sessions import commands
from sessions.engine_events import REQUIRED_TEXT
from sessions.protocol import EFFECTS
from tests.conftest import ROOT, Server
from tests.factories import make_events, make_session
from tests.test_event_docs import KODA_TYPES

TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def read_blocks(kind: str) -> list[dict]:
    return [json.loads(block) for block in re.findall(rf"^```json {kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)]


def test_every_event_is_shown():
    shown = [event["type"] for event in read_blocks("event")]
    assert set(shown) == KODA_TYPES | set(EFFECTS)
    assert len(shown) == len(set(shown))


def test_every_event_shows_what_it_needs():
    for event in read_blocks("event"):
        for name in REQUIRED_TEXT.get(event["type"], ()):
            assert name in event, event["type"]


@pytest.mark.django_db
def test_the_events_make_a_turn_in_the_order_in_which_they_stand():
    session = make_session()
    for event in read_blocks("event"):
        make_events(session, event)
    session.refresh_from_db()
    (turn,) = session.turns.all()
    assert (turn.turn_id, turn.reason, turn.elapsed_ms) == ("7a0c", "complete", 1200)
    assert (session.state, session.model, session.mode, session.context_max) == ("idle", "large-1", "auto", 128000)
    assert (session.tool_call_count, session.tool_success_count) == (1, 1)
    assert {request.kind for request in session.requests.all()} == {"approval", "loop_decision", "input"}


def test_every_command_is_shown_and_taken():
    shown = read_blocks("command")
    assert {command["type"] for command in shown} == {
        "interrupt", "approval_response", "loop_decision", "user_prompt", "ask_user_response", "slash_command", "quit",
    }  # fmt: skip
    for command in shown:
        commands.require_command(command)
    decisions = [command["decision"]["decision"] for command in shown if "decision" in command]
    assert decisions == list(commands.DECISIONS)


def test_every_action_at_the_cap_is_named():
    for action in commands.LOOP_ACTIONS:
        assert f"`{action}`" in TEXT


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands_for_curl_run_as_they_stand(server: Server):
    (script,) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": "/usr/bin:/bin", "NO_PROXY": "*", "URL": server.url, "KEY": server.create_key("curl", "write")},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"stored":') == 3
    assert '"stored":3' in done.stdout.replace(" ", "")
