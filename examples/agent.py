# ruff: noqa: INP001 - a program of its own, not a package
"""An agent whose every step people can watch and steer in Koda Web. Copy the class `Agent`; the script shows its use.

    python examples/agent.py --url http://127.0.0.1:8000 --key koda_…

Needs Python 3.11 and httpx; the key needs the scope `write`. What goes over the wire: docs/protocol.md.
"""

import argparse
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx

Json = dict[str, Any]
TRY_AGAIN = {429, 502, 503, 504}  # the server is busy or stopping, or a proxy does not reach it
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
HEARTBEAT_SECONDS = 15
POLL_SECONDS = 25
CLOSE_SECONDS = 1.5
BATCH_SECONDS = 0.2
LOOP_ACTIONS = {"stop": 0, "continue50": 50, "continue200": 200}
LOOP_CAP = "the loop cap"  # a loop decision has no id: it answers the newest cap

log = logging.getLogger("agent")


class Interrupted(Exception):
    """A person stopped the turn."""


class Rejected(Exception):
    """A person refused a tool call; the text is what the model gets for a result."""


class Agent:
    """One session. You call it from one thread; beside it one listens for commands and one sends heartbeats.

    All that is sent bears an id from the start, so it may be sent again after any failure and is stored once. While a
    turn runs, any method may raise `Interrupted`; let it pass out of `turn`, which ends the turn as cancelled.
    """

    def __init__(self, url: str, key: str, **facts: Any) -> None:
        """Create the session; `facts` is the body of POST /sessions (agent_name, project_root, mode, model …)."""
        self.id = str(uuid.uuid4())
        self.turn_id: str | None = None
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=POLL_SECONDS + 15,
        )
        self._news = threading.Condition()  # guards what follows; notified when a command or a failure comes
        self._known: set[int] = set()
        self._prompts: list[Json] = []
        self._awaited: str | None = None
        self._answer: Json | None = None
        self._is_interrupted = self._is_told_to_quit = False
        self._failure: Exception | None = None
        self._closed = threading.Event()
        self._tools_used: list[str] = []
        try:
            self._post("sessions", {"id": self.id, **facts})
        except BaseException:
            self._http.close()
            raise
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._beat)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS)  # a poll that takes longer is cut off
        self._http.close()

    # --- What the agent tells -------------------------------------------------------------

    def say(self, role: str, content: str | None, **fields: Any) -> None:
        """Store a message. Messages are what was said and will be said to the model again; events are what happens."""
        message = {"role": role, "content": content, "client_id": str(uuid.uuid4()), **fields}
        self._post(f"sessions/{self.id}/messages", message)

    def tell(self, *events: Json) -> None:
        """Send engine events of the turn that runs, in order."""
        envelope = {"turn_id": self.turn_id} if self.turn_id else {}
        batch = [{"event_id": str(uuid.uuid4()), **envelope, **event} for event in events]
        answer = self._post(f"sessions/{self.id}/events", {"events": batch})
        self._take(answer["commands"])

    @contextmanager
    def turn(self, prompt: str) -> Iterator[None]:
        """Run a turn. It ends as complete, as cancelled when a person interrupts it, else with the error's words."""
        self.say("user", prompt)
        self.turn_id, self._is_interrupted = str(uuid.uuid4()), False
        self.tell({"type": "turn_start"})
        reason: Json = {"kind": "complete"}
        try:
            yield
            self._stop_if_interrupted()
        except Interrupted:
            reason = {"kind": "cancelled"}
            self.tell({"type": "warn", "message": "Interrupted"})
        except Exception as error:
            reason = {"kind": "error", "message": str(error)}
            raise
        finally:
            self.tell({"type": "turn_end", "reason": reason})
            self.turn_id = None

    def stream(self, pieces: Iterable[str], *, usage: Json | None = None, **footer: Any) -> None:
        """Send the model's words as they come, those of a moment in one batch, and store them as its message."""
        text, sent_at = "", time.monotonic()
        batch: list[Json] = [{"type": "response_start"}]
        for piece in pieces:
            text += piece
            batch.append({"type": "text_delta", "text": piece})
            if time.monotonic() - sent_at >= BATCH_SECONDS:
                self.tell(*batch)
                batch, sent_at = [], time.monotonic()
            if self._is_interrupted:
                usage = None  # the model did not come so far as to report it
                break
        self.tell(*batch, {"type": "text_done"})
        self.say("assistant", text, usage=usage)
        self._stop_if_interrupted()
        if footer:
            self.tell({"type": "footer", **footer})

    def use_tool(
        self,
        name: str,
        args: Json,
        run: Callable[[], str],
        *,
        preview: Json | None = None,
        must_ask: bool = False,
        expect_within: float | None = None,
    ) -> str:
        """Call a tool, after a person's approval if `must_ask`; return its result, which may be their refusal."""
        call_id, outcome = str(uuid.uuid4()), "success"
        self.say("assistant", None, tool_calls=[{"id": call_id, "function_name": name, "arguments": args}])
        self._tools_used.append(name)
        budget = {"expect_within": expect_within} if expect_within else {}
        self.tell({"type": "tool_call_start", "id": call_id, "name": name, "args": args, **budget})
        try:
            if must_ask:
                self.ask_approval(name, detail=str(args.get("path", "")), preview=preview)
            output = run()
        except Rejected as refusal:
            output, outcome = str(refusal), "rejected"
        except OSError as error:
            output, outcome = f"Error: {error}", "failed"
        self.tell({"type": "tool_call_result", "id": call_id, "name": name, "output": output, "outcome": outcome})
        self.say("tool", output, tool_call_id=call_id)
        self._stop_if_interrupted()
        return output

    # --- What it asks of people -------------------------------------------------------------

    def ask_approval(self, tool: str, *, detail: str = "", preview: Json | None = None) -> None:
        """Wait until a person approves. Raises `Rejected`."""
        answer = self._ask("approval_request", tool_name=tool, detail=detail, preview=preview)
        decision = answer["decision"]
        if decision["decision"] == "reject_with_feedback":
            raise Rejected(f"User rejected this action with feedback: {decision['feedback']}")
        if decision["decision"] != "approve":
            raise Rejected("User rejected this action.")

    def ask_user(self, question: str, options: list[str] | None = None) -> str:
        """Ask a question and return the answer; an empty one means that they give none."""
        return str(self._ask("ask_user_request", question=question, options=options or [])["answer"])

    def rounds(self, cap: int) -> Iterator[int]:
        """Count the rounds of a turn; at `cap` a person decides whether it goes on, and for how long."""
        done = 0
        while True:
            if done >= cap:
                decision = self._ask("loop_cap_reached", cap=cap, recent_tools=self._tools_used[-5:])
                cap += LOOP_ACTIONS[decision["action"]]
            if done >= cap:
                return
            yield done
            done += 1
            self._stop_if_interrupted()

    def next_prompt(self) -> str | None:
        """Wait for the next prompt; None when a person told the agent to quit."""
        with self._news:
            self._news.wait_for(lambda: self._prompts or self._is_told_to_quit or self._failure)
            if self._failure:
                raise self._failure
            handed = None if self._is_told_to_quit else self._prompts.pop(0)
        if handed is None:
            return None
        self._acknowledge(handed)
        return str(handed["command"]["text"])

    def _ask(self, kind: str, **request: Any) -> Json:
        """Open a request and return the command that answers it. Raises `Interrupted`."""
        request_id = LOOP_CAP if kind == "loop_cap_reached" else str(uuid.uuid4())
        self._awaited, self._answer = request_id, None  # before it is told: the answer may be quick
        self.tell({"type": kind, **request, **({} if request_id == LOOP_CAP else {"id": request_id})})
        handed = self._wait_for_answer()
        if handed is None:
            raise Interrupted
        self._acknowledge(handed)
        command: Json = handed["command"]
        return command

    def _wait_for_answer(self) -> Json | None:
        """Return the command that answers the open request, None when the turn was stopped instead."""
        with self._news:
            self._news.wait_for(lambda: self._answer or self._is_interrupted or self._failure)
            self._awaited = None
            if self._failure:
                raise self._failure
            return self._answer

    def _stop_if_interrupted(self) -> None:
        """Raise `Interrupted` when a person has stopped the turn."""
        if self._is_interrupted:
            raise Interrupted

    # --- What people tell it ---------------------------------------------------------------

    def _take(self, commands: list[Json]) -> None:
        """Take commands, whichever way they came. One that is not acknowledged within 30 s comes again."""
        for handed in commands:
            with self._news:
                if handed["id"] in self._known:
                    continue
                self._known.add(handed["id"])
                refusal = self._take_one(handed)
                self._news.notify_all()
            kind = handed["command"]["type"]
            log.info("%s %s", kind, f"refused: {refusal}" if refusal else "")
            if refusal is not None:
                self._acknowledge(handed, refusal=refusal)
            elif kind in {"interrupt", "quit"}:
                self._acknowledge(handed)  # others are acknowledged by those who wait for them

    def _take_one(self, handed: Json) -> str | None:
        """Let a command have its effect; return why it has none."""
        command = handed["command"]
        match command["type"]:
            case "user_prompt":
                self._prompts.append(handed)
            case "quit":
                self._is_told_to_quit = self._is_interrupted = True
            case "interrupt" if self.turn_id is not None:
                self._is_interrupted = True
            case "interrupt":
                return "no turn is running"
            case "approval_response" | "ask_user_response" if command["id"] == self._awaited:
                self._answer = handed
            case "loop_decision" if self._awaited == LOOP_CAP:
                self._answer = handed
            case _:
                return "nothing here waits for it"
        return None

    def _acknowledge(self, handed: Json, *, refusal: str | None = None) -> None:
        """Say what became of a command; the page shows it."""
        self._post(f"commands/{handed['id']}/ack", {"obeyed": refusal is None, "detail": refusal or ""})

    # --- The wire ---------------------------------------------------------------------------

    def _listen(self) -> None:
        """Fetch commands while the session is open; the server answers as soon as there is one."""
        self._until_closed(
            lambda: self._take(self._send("GET", f"sessions/{self.id}/commands?wait={POLL_SECONDS}")["commands"])
        )

    def _beat(self) -> None:
        """Say every few seconds that this process lives: silence then means that it does not."""

        def beat() -> None:
            self._take(self._send("POST", f"sessions/{self.id}/heartbeat", {"interval": HEARTBEAT_SECONDS})["commands"])
            self._closed.wait(HEARTBEAT_SECONDS)

        self._until_closed(beat)

    def _until_closed(self, step: Callable[[], None]) -> None:
        """Repeat a step; if it fails for good, whoever waits for a person hears of it."""
        while not self._closed.is_set():
            try:
                step()
            except Exception as error:
                if self._closed.is_set():
                    return
                with self._news:
                    self._failure = error
                    self._news.notify_all()
                raise

    def _post(self, path: str, body: Json) -> Json:
        """Send a request that acts once, however often it must be sent."""
        return self._send("POST", path, body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def _send(self, method: str, path: str, body: Json | None = None, headers: Json | None = None) -> Json:
        """Send a request until it is answered: the same bytes and ids again, after growing pauses with some chance.

        Raises `httpx.HTTPStatusError` for an answer that no repetition changes.
        """
        pause = FIRST_PAUSE
        while True:
            wanted = 0.0
            try:
                answer = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError as error:
                if self._closed.is_set():
                    raise
                log.warning("%s %s: %r; trying again", method, path, error)
            else:
                if answer.status_code not in TRY_AGAIN:
                    answer.raise_for_status()
                    found: Json = answer.json()
                    return found
                wanted = float(answer.headers.get("Retry-After", 0))
                log.warning("%s %s: %s; trying again", method, path, answer.status_code)
            if self._closed.wait(max(wanted, pause * random.uniform(0.5, 1))):  # noqa: S311 - no secret
                raise ConnectionError("the session was closed while the server was away")
            pause = min(2 * pause, LONGEST_PAUSE)


# --- A script for it -------------------------------------------------------------------------------

EDIT = {
    "kind": "Edit",
    "path": "src/lamps.py",
    "replacements": [{"index": 0, "total": 1, "start_line": 3, "old_lines": ["LAMPS = 8"], "new_lines": ["LAMPS = 9"]}],
    "truncated_count": 0,
}


def words(text: str) -> Iterator[str]:
    """Yield a text as a model would speak it."""
    for word in text.split(" "):
        time.sleep(0.03)
        yield f"{word} "


def work(agent: Agent, prompt: str) -> None:
    """Run one turn; words of the prompt choose what happens in it."""
    with agent.turn(prompt):
        agent.tell({"type": "thinking_start"}, {"type": "thinking_delta", "text": "Hm."}, {"type": "thinking_done"})
        if "fail" in prompt:
            raise RuntimeError("LLM inference failed")
        if "ask" in prompt:
            agent.stream(words(f"You said: {agent.ask_user('Which lamp?', ['the red one', 'the green one'])}"))
        if "loop" in prompt:
            for number in agent.rounds(cap=3):
                agent.use_tool("Grep", {"pattern": f"lamp {number}"}, lambda: "nothing")
        if "edit" in prompt:
            args = {"path": EDIT["path"], "old_text": "LAMPS = 8", "new_text": "LAMPS = 9"}
            agent.use_tool("Edit", args, lambda: "1 replacement", preview=EDIT, must_ask=True)
        agent.use_tool("Read", {"path": "src/lamps.py"}, lambda: "LAMPS = 9", expect_within=60)
        usage = {"prompt_tokens": 900, "completion_tokens": 40}
        speech = "Nine lamps burn. " * (100 if "long" in prompt else 4)
        agent.stream(words(speech.strip()), usage=usage, **usage, elapsed_ms=1200)


def main() -> None:
    """Work on the prompts of the command line, then on those that people send, until one tells it to quit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where Koda Web is")
    parser.add_argument("--key", required=True, help="an API key with the scope write")
    parser.add_argument("--prompt", action="append", help="what to do first; repeat it for more")
    parser.add_argument("--once", action="store_true", help="end after these")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    facts = {"agent_name": "example", "project_root": "/home/ada/lamps", "mode": "safe", "model": "a script"}
    with Agent(options.url, options.key, **facts) as agent:
        log.info("session %s", agent.id)
        for prompt in options.prompt or ["Count the lamps and edit their number."]:
            work(agent, prompt)
        while not options.once and (prompt := agent.next_prompt()):
            work(agent, prompt)


if __name__ == "__main__":
    main()
