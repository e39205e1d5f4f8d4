"""Which session a sub-agent's is a part of. Koda does not say; it is told only where just one call can have sent it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sessions.importers.fields import JsonObject, number_of
from sessions.importers.koda.database import KodaDatabase
from sessions.importers.koda.rows import calls, session_key
from sessions.importers.records import ImportedLink, Tally
from sessions.models.fields import load_written

TOOL = "InvokeAgent"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that sends a sub-agent: the session and row in which it stands, its id."""

    session_id: object
    row: int
    call_id: str


@dataclass(slots=True)
class Errands:
    """The calls that a database has told of, by agent and prompt, and the sessions that they are tied to."""

    _calls: dict[tuple[str, str], list[Call]] = field(default_factory=lambda: defaultdict(list))
    _agents: set[str] = field(default_factory=set)
    _taken: set[Call] = field(default_factory=set)
    _newest_row: int = 0

    def links(self, database: KodaDatabase, sessions: Iterable[JsonObject]) -> dict[object, ImportedLink]:
        """Return the links of these new sessions, as far as the calls leave no doubt."""
        self._note_calls(database)
        chosen: dict[Call, list[object]] = defaultdict(list)
        for row in sessions:
            found = self._candidates(database, row) if row.get("agent_name") in self._agents else []
            for call in found if len(found) == 1 else []:
                chosen[call].append(row.get("id"))
        links = {}
        for call, children in chosen.items():
            if len(children) == 1 and call not in self._taken:
                links[children[0]] = ImportedLink(
                    session_key=session_key(children[0]),
                    parent_key=session_key(call.session_id),
                    parent_tool_call_id=call.call_id,
                )
            self._taken.add(call)
        return links

    def _note_calls(self, database: KodaDatabase) -> None:
        """Take in the calls that are new."""
        for row in database.calls_of(TOOL, after=self._newest_row):
            self._newest_row = number_of(row)
            for call in calls(row, tally=Tally()) or []:
                self._note_call(row, call)

    def _note_call(self, row: JsonObject, call: object) -> None:
        """Take in one call, if it sends an agent that is new: with a session id it goes on with an earlier one."""
        if not isinstance(call, dict) or TOOL not in [call.get("function_name"), call.get("name")]:
            return
        call_id, told = call.get("id"), _arguments(call.get("arguments"))
        agent, prompt = told.get("agent_name"), told.get("prompt")
        if told.get("session_id") or not all(isinstance(text, str) for text in (call_id, agent, prompt)):
            return
        self._agents.add(str(agent))
        self._calls[str(agent), str(prompt)].append(Call(row["session_id"], number_of(row), str(call_id)))

    def _candidates(self, database: KodaDatabase, session: JsonObject) -> list[Call]:
        """Return the calls with the session's agent and first prompt in whose course that prompt was written."""
        first = database.first_prompt(session.get("id"))
        if first is None:
            return []
        row, prompt = first
        calls = self._calls.get((str(session.get("agent_name")), str(prompt)), [])
        return [call for call in calls if call.session_id != session.get("id") and _spans(database, call, row)]


def _spans(database: KodaDatabase, call: Call, row: int) -> bool:
    """Say whether a row was written after the call and before its result."""
    answered = database.result_row(call.session_id, call.call_id, after=call.row) if call.row < row else 0
    return answered is None or answered > row


def _arguments(arguments: object) -> JsonObject:
    """Return the arguments of a call: Koda keeps them as JSON text."""
    try:
        found = load_written(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
