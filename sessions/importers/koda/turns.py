"""Turns, which Koda does not store: a user's message opens one, an answer that asks for no tools closes it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sessions.importers.changes import ImportedTurn
from sessions.importers.fields import JsonObject, number_of
from sessions.importers.koda.rows import STORE
from sessions.importers.records import row_id


@dataclass(slots=True)
class Turns:
    """The turns of one session, as its rows tell them one after the other."""

    session_key: str
    _turn_id: str | None = None
    _role_before: object = None

    def before(self, row: JsonObject, *, is_live: bool) -> Iterator[ImportedTurn]:
        """Yield what comes before this row. Only of what happens now is a beginning told; history has no clock."""
        if row.get("role") != "user":
            return
        if self._turn_id is not None and not is_live:
            yield ImportedTurn(session_key=self.session_key, turn_id=self._turn_id, step="abandoned")
        self._turn_id = row_id(STORE, number_of(row))
        if is_live:
            yield ImportedTurn(session_key=self.session_key, turn_id=self._turn_id, step="starts")

    def after(self, row: JsonObject) -> Iterator[ImportedTurn]:
        """Yield the end of the turn if this row is its last. The hint after a compaction's summary is no answer."""
        role, before = row.get("role"), self._role_before
        self._role_before = role
        asks_for_tools = row.get("tool_calls") not in {None, "", "[]", "null"}
        if role != "assistant" or asks_for_tools or before == "system" or self._turn_id is None:
            return
        yield ImportedTurn(session_key=self.session_key, turn_id=self._turn_id, step="completed")
        self._turn_id = None
