"""One round of a play: how an agent of the demo speaks, calls tools, and works through a task."""

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sessions.management.demo_agent import Agent, Json, Stage

BEAT_SECONDS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A tool call of a play: what it is called with, what comes back, and after how many seconds."""

    name: str
    args: Json
    output: str
    seconds: float = 2.0
    is_error: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One turn of a play: a prompt, calls with a word before each, and the last word."""

    prompt: str
    thoughts: str = ""
    steps: tuple[tuple[str, Call], ...] = ()
    answer: str = "Done."


@dataclass(frozen=True, kw_only=True, slots=True)
class Play:
    """An agent of the demo. `act` plays one round; it is played again and again unless the demo is short."""

    facts: Json
    act: Callable[["Scene"], None]
    repeats: bool = True


@dataclass(slots=True)
class Scene:
    """What one round has at hand."""

    agent: Agent
    stage: Stage
    open_agent: Callable[[Json], Agent]
    is_short: bool
    facts: Json
    round: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - plays dice, keeps no secret


def usage(scene: Scene, words: str) -> Json:
    """Return token counts that such an answer could have had."""
    return {
        "prompt_tokens": 900 + scene.chance.randrange(400),
        "completion_tokens": 12 + 2 * len(words.split()),
        "cache_read_tokens": 6_000 + scene.chance.randrange(4_000),
        "cache_creation_tokens": scene.chance.randrange(600),
        "thinking_tokens": 0,
    }


def speak(scene: Scene, words: str, *, calls: list[Json] | None = None, thoughts: str = "") -> None:
    """Let the model think and answer: deltas first, then the message itself, as Koda does."""
    agent = scene.agent
    if thoughts:
        agent.tell({"type": "thinking_start"})
        agent.stream(thoughts, kind="thinking_delta")
        agent.tell({"type": "thinking_done"})
    agent.tell({"type": "response_start"})
    agent.stream(words)
    agent.tell({"type": "text_done"})
    agent.say("assistant", words, usage=usage(scene, words), **({"tool_calls": calls} if calls else {}))


def announce(call: Call) -> Json:
    """Return the call as an assistant message carries it."""
    return {"id": f"call_{uuid.uuid4().hex[:12]}", "function_name": call.name, "arguments": json.dumps(call.args)}


def start_call(scene: Scene, asked: Json, call: Call, **fields: Any) -> None:
    """Tell that the tool runs now."""
    scene.agent.tell({"type": "tool_call_start", "id": asked["id"], "name": call.name, "args": call.args, **fields})


def finish_call(scene: Scene, asked: Json, call: Call) -> None:
    """Tell and store what the tool gave back."""
    result = {"type": "tool_call_result", "id": asked["id"], "name": call.name, "output": call.output}
    scene.agent.tell({**result, "is_error": call.is_error})
    scene.agent.say("tool", call.output, tool_call_id=asked["id"])


def use_tool(scene: Scene, words: str, call: Call, *, thoughts: str = "") -> None:
    """Say why, call the tool, and wait for it."""
    asked = announce(call)
    speak(scene, words, calls=[asked], thoughts=thoughts)
    start_call(scene, asked, call)
    scene.stage.pause(call.seconds)
    finish_call(scene, asked, call)


def work_through(*tasks: Task) -> Callable[[Scene], None]:
    """Return a play that does one task a round, in turn."""

    def act(scene: Scene) -> None:
        task = tasks[scene.round % len(tasks)]
        scene.agent.beat(interval=BEAT_SECONDS)
        scene.agent.begin_turn(task.prompt)
        thoughts = task.thoughts
        for words, call in task.steps:
            use_tool(scene, words, call, thoughts=thoughts)
            thoughts = ""
        speak(scene, task.answer, thoughts=thoughts)
        counts = {"prompt_tokens": 4_200, "completion_tokens": 310, "cache_read_tokens": 22_000, "thinking_tokens": 0}
        scene.agent.tell({"type": "footer", **counts, "total_chars": len(task.answer), "elapsed_ms": 9_000})
        scene.agent.end_turn()
        scene.stage.pause(5 + scene.chance.random() * 6)

    return act
