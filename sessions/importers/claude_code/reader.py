"""The reader: lines of one transcript in, records out. Pure: it keeps its state and touches nothing else."""

from collections.abc import Callable, Iterable, Iterator

from sessions.importers.claude_code.beside import (
    take_attachment,
    take_pull_request,
    take_queue_operation,
    take_system,
    take_title,
)
from sessions.importers.claude_code.desk import Desk
from sessions.importers.claude_code.errands import Errands
from sessions.importers.claude_code.spoken import take_assistant, take_user
from sessions.importers.claude_code.thread import Thread
from sessions.importers.fields import LONGEST_PATH, JsonObject, flag, identifier, inner, moment, text
from sessions.importers.lines import objects
from sessions.importers.records import Record, Tally

_Taker = Callable[[JsonObject, Thread, Desk], Iterator[Record]]

_SPOKEN: dict[str, _Taker] = {"user": take_user, "assistant": take_assistant}
_TAKERS: dict[str, _Taker] = {
    **_SPOKEN,
    "system": take_system,
    "attachment": take_attachment,
    "queue-operation": take_queue_operation,
    "pr-link": take_pull_request,
    "custom-title": take_title,
    "ai-title": take_title,
}


class ClaudeCodeReader:
    """Reads one file, in one go or as it grows.

    `name` stands for the session where a line names none. `errands` is shared by the readers of one import, so that a
    sub-agent in a file of its own finds the call that sent it.
    """

    def __init__(self, *, name: str, errands: Errands | None = None) -> None:
        """Begin before the first line."""
        self.tally = Tally()
        self._desk = Desk(self.tally, errands or Errands())
        self._name = identifier(name) or "transcript"
        self._threads: dict[str, Thread] = {}
        self._roots: dict[tuple[str, str], str] = {}
        self._thread_of_line: dict[str, Thread] = {}
        self._summaries: dict[str, str] = {}

    def read(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield the records of the next whole lines. Never raises over what a line holds."""
        for line in lines:
            for record in objects(line, tally=self.tally):
                yield from self._take(record)

    def settle(self) -> Iterator[Record]:
        """Yield what waited for lines that may still come: call it at the end of the file, or when it rests."""
        for leaf, words in self._summaries.items():
            if leaf in self._thread_of_line:
                self._thread_of_line[leaf].facts.summary = words
        for thread in list(self._threads.values()):
            yield from thread.settle()

    def _take(self, line: JsonObject) -> Iterator[Record]:
        """Yield the records of one object."""
        kind = text(line, "type") or "no type"
        self.tally.types[kind] += 1
        self.tally.saw(moment(line.get("timestamp")))
        if kind == "summary":
            self._note_summary(line)
            return
        thread = self._thread(line)
        if kind == "progress":
            yield from self._take_progress(line, thread)
        elif kind in _TAKERS:
            yield from _TAKERS[kind](line, thread, self._desk)
        else:
            self.tally.passed_over[kind] += 1

    def _thread(self, line: JsonObject) -> Thread:
        """Return the conversation that the line belongs to, and let it learn what every line tells."""
        session_key = identifier(line.get("sessionId")) or identifier(line.get("session_id")) or self._name
        line_id = identifier(line.get("uuid"))
        if not flag(line, "isSidechain"):
            thread = self._threads.setdefault(session_key, Thread(key=session_key))
        else:
            key = f"{session_key}/{self._side_of(line, session_key=session_key, line_id=line_id)}"
            thread = self._threads.setdefault(key, Thread(key=key, parent_key=session_key))
        if line_id is not None:
            self._thread_of_line[line_id] = thread
        facts, at = thread.facts, moment(line.get("timestamp"))
        facts.project_root = facts.project_root or identifier(line.get("cwd"), longest=LONGEST_PATH)
        if at is not None and (facts.created_at is None or at < facts.created_at):
            facts.created_at = at
        return thread

    def _side_of(self, line: JsonObject, *, session_key: str, line_id: str | None) -> str:
        """Return the name of a sub-agent's conversation: by its agent id, in old clients by the root of its chain."""
        agent_id = identifier(line.get("agentId"))
        if agent_id is not None:
            return f"agent-{agent_id}"
        above = identifier(line.get("parentUuid"))
        root = self._roots.get((session_key, above)) if above is not None else line_id
        root = root or above or "unknown"
        if line_id is not None:
            self._roots[session_key, line_id] = root
        return f"sidechain-{root}"

    def _take_progress(self, line: JsonObject, thread: Thread) -> Iterator[Record]:
        """Yield what a sub-agent's line holds that its parent wrapped; other progress is passed over."""
        data = inner(line, "data")
        wrapped, agent_id = inner(data, "message"), identifier(data.get("agentId"))
        take = _SPOKEN.get(text(wrapped, "type") or "")
        if data.get("type") != "agent_progress" or agent_id is None or take is None:
            self.tally.passed_over[f"progress/{text(data, 'type') or 'no type'}"] += 1
            return
        around = {"sessionId": thread.key, "cwd": line.get("cwd"), "timestamp": line.get("timestamp")}
        whole: JsonObject = {**around, **wrapped, "isSidechain": True, "agentId": agent_id}
        child = self._thread(whole)
        call_id = identifier(line.get("parentToolUseID"))
        if call_id is not None and child.facts.parent_tool_call_id is None:
            child.facts.parent_tool_call_id = call_id
            child.facts.errand = self._desk.errands.of_call(call_id, session_key=thread.key)
        yield from take(whole, child, self._desk)

    def _note_summary(self, line: JsonObject) -> None:
        """Keep a summary until the line that it speaks of is met; it may speak of another session altogether."""
        leaf, words = identifier(line.get("leafUuid")), text(line, "summary")
        if leaf is not None and words is not None:
            self._summaries[leaf] = words
