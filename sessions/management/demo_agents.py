"""The plays of the demo: agents that work, wait, fail and hang, so that every band of the wall has somebody."""

import uuid

from sessions.management.demo_scene import (
    BEAT_SECONDS,
    Call,
    Play,
    Scene,
    announce,
    finish_call,
    speak,
    start_call,
    use_tool,
    work_through,
)
from sessions.management.demo_tasks import CHAT_TASKS, EDIT, HARBOUR_TASKS, LAMP_TASKS, PREVIEW


def ask_for_approval(scene: Scene) -> None:
    """Wait for a person before an edit, and do as they say."""
    agent = scene.agent
    agent.begin_turn("The constants in the tide tables are hard to read. Spell them out.")
    asked = announce(EDIT)
    speak(
        scene,
        "I would write the hour as 60 * 60. This changes a file that two people share, so I ask first.",
        calls=[asked],
    )
    start_call(scene, asked, EDIT)
    request = {"id": str(uuid.uuid4()), "tool_name": EDIT.name, "detail": "src/tides.py", "preview": PREVIEW}
    agent.tell({"type": "approval_request", **request})
    if scene.is_short:
        return
    for command in agent.commands():
        decision = command.get("decision", {})
        if command["type"] == "interrupt":
            agent.end_turn("cancelled")
            break
        if command["type"] != "approval_response" or command.get("id") != request["id"]:
            continue
        if decision.get("decision") == "approve":
            finish_call(scene, asked, EDIT)
            speak(scene, "Thank you. The hour is spelled out, and the tables read the same as before.")
        else:
            word = decision.get("feedback") or "no"
            agent.say("tool", f"User rejected this action. Feedback: {word}", tool_call_id=asked["id"])
            speak(scene, "Understood, I leave the constants as they are.")
        agent.end_turn()
        break
    scene.stage.pause(20)


def reach_the_cap(scene: Scene) -> None:
    """Run into the limit of rounds, and wait to be told whether to go on."""
    agent = scene.agent
    agent.begin_turn("Label all scanned harbour logs from 1911.")
    listing = Call(name="List", args={"path": "scans/1911"}, output="312 files", seconds=0.5)
    use_tool(scene, "I go through them one by one.", listing)
    for number in range(3):
        page = Call(
            name="Read", args={"path": f"scans/1911/{number:03}.txt"}, output="Wind SW 4, sea slight.", seconds=0.5
        )
        use_tool(scene, f"Page {number}.", page)
    agent.tell({"type": "loop_cap_reached", "cap": 200, "recent_tools": ["List", "Read", "Read", "Read"]})
    if scene.is_short:
        return
    for command in agent.commands():
        if command["type"] == "loop_decision" and command.get("action") != "stop":
            speak(scene, "I go on with the next pages.")
            agent.tell({"type": "loop_cap_reached", "cap": 250, "recent_tools": ["Read"] * 5})
        elif command["type"] in {"loop_decision", "interrupt"}:
            agent.end_turn("cancelled" if command["type"] == "interrupt" else "complete")
            break
    scene.stage.pause(30)


def fail(scene: Scene) -> None:
    """End a turn in an error."""
    agent = scene.agent
    agent.begin_turn("Bring the old ferry timetable into the new format.")
    broken = Call(
        name="Bash",
        args={"command": "ferry convert 1974.tbl"},
        output="ferry: 1974.tbl: no such column: PIER",
        is_error=True,
    )
    use_tool(scene, "I convert the oldest file first.", broken)
    agent.tell({"type": "warn", "message": "The model did not answer, trying again in 2 s"})
    scene.stage.pause(2)
    agent.end_turn("error", message="LLM inference failed")
    scene.stage.pause(45)


def hang(scene: Scene) -> None:
    """Begin a turn, start a tool, and never be heard of again."""
    agent = scene.agent
    agent.beat(interval=BEAT_SECONDS)
    agent.begin_turn("Flash the buoy's firmware and watch the first telemetry.")
    flash = Call(name="Bash", args={"command": "buoyctl flash --port /dev/ttyUSB0 v2.8.bin"}, output="")
    asked = announce(flash)
    speak(scene, "Flashing takes about a minute.", calls=[asked])
    start_call(scene, asked, flash)


def send_a_scout(scene: Scene) -> None:
    """Let a sub-agent do the looking, in a session of its own."""
    agent = scene.agent
    agent.begin_turn("Where do we still assume that a day has 24 hours?")
    prompt = "Find every place that multiplies by 24 or 86400."
    errand = Call(
        name="InvokeAgent", args={"agent_name": "scout", "prompt": prompt}, output="Three places, in two files."
    )
    asked = announce(errand)
    speak(scene, "I send a scout to look, it is faster.", calls=[asked])
    agent.tell({"type": "sub_agent_start", "agent_name": "scout"})
    start_call(scene, asked, errand)
    child = scene.open_agent(
        {
            "agent_name": "scout",
            "project_root": scene.facts["project_root"],
            "title": "Look for fixed day lengths",
            "model": "small-1",
            "parent_id": agent.id,
            "parent_tool_call_id": asked["id"],
        }
    )
    inner = Scene(child, scene.stage, scene.open_agent, scene.is_short, scene.facts, chance=scene.chance)
    child.begin_turn(prompt)
    for pattern, found in (("86400", "src/lamp.py:41\nsrc/lamp.py:77"), (r"\* 24\b", "tests/test_lamp.py:9")):
        use_tool(
            inner, f"I search for {pattern}.", Call(name="Grep", args={"pattern": pattern}, output=found, seconds=3)
        )
    speak(inner, "Three places: src/lamp.py lines 41 and 77, tests/test_lamp.py line 9.")
    child.end_turn()
    finish_call(scene, asked, errand)
    speak(scene, "Two lines in src/lamp.py assume it, and one test. I would start with line 41.")
    agent.end_turn()
    scene.stage.pause(12)


def build_for_long(scene: Scene) -> None:
    """Run one declared long tool, with heartbeats that show progress."""
    agent = scene.agent
    minutes = 10
    agent.beat(interval=BEAT_SECONDS, expect_within=minutes * 60)
    agent.begin_turn("Render all sea charts at full depth.")
    charts = Call(name="Bash", args={"command": "make charts DEPTH=full"}, output="212 charts rendered, 0 failed.")
    asked = announce(charts)
    speak(scene, "This takes up to ten minutes. I start it and watch.", calls=[asked])
    start_call(scene, asked, charts, expect_within=minutes * 60)
    for tick in range(3 if scene.is_short else minutes * 60 // BEAT_SECONDS):
        agent.beat(interval=BEAT_SECONDS, progress=tick + 1, activity=f"Bash make charts ({(tick + 1) * 3} of 212)")
        scene.stage.pause(BEAT_SECONDS)
    finish_call(scene, asked, charts)
    speak(scene, "All 212 charts are rendered.")
    agent.end_turn()
    scene.stage.pause(20)


PLAYS: tuple[Play, ...] = (
    Play(
        facts={
            "agent_name": "koda",
            "project_root": "/home/mara/lighthouse",
            "model": "large-2",
            "title": "Lamp an hour late",
        },
        act=work_through(*LAMP_TASKS),
    ),
    Play(
        facts={
            "agent_name": "stakpak",
            "project_root": "/srv/harbour",
            "model": "large-2",
            "title": "Crane controller restarts",
        },
        act=work_through(*HARBOUR_TASKS),
    ),
    Play(
        facts={
            "agent_name": "zeroclaw",
            "project_root": "/home/mara/tide-chat",
            "model": "small-1",
            "title": "Tides by chat",
        },
        act=work_through(*CHAT_TASKS),
    ),
    Play(
        facts={"agent_name": "koda", "project_root": "/home/mara/tide-tables", "model": "large-2", "mode": "safe"},
        act=ask_for_approval,
    ),
    Play(
        facts={"agent_name": "archivist", "project_root": "/home/jon/harbour-logs", "model": "small-1"},
        act=reach_the_cap,
    ),
    Play(
        facts={"agent_name": "mender", "project_root": "/home/jon/old-ferry", "model": "large-2"},
        act=fail,
    ),
    Play(
        facts={"agent_name": "night-watch", "project_root": "/home/jon/buoy-firmware", "model": "small-1"},
        act=hang,
        repeats=False,
    ),
    Play(
        facts={
            "agent_name": "koda",
            "project_root": "/home/mara/almanac",
            "model": "large-2",
            "title": "Days that are not 24 hours",
        },
        act=send_a_scout,
    ),
    Play(
        facts={
            "agent_name": "builder",
            "project_root": "/srv/sea-charts",
            "model": "large-2",
            "title": "All charts, full depth",
        },
        act=build_for_long,
    ),
)
