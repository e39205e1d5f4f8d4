"""Which messages a store already holds, so that a file can be read in pieces, again, and from the start. Pure."""

import re
from collections.abc import Container, Iterable

from sessions.importers.records import ImportedMessage, answer_id

_ROW = re.compile(r"[a-z]+:([0-9]{1,18})", re.ASCII)


def row_number(client_id: str) -> int | None:
    """Return the number of the row that an id made by `row_id` names, None for any other id."""
    match = _ROW.fullmatch(client_id)
    return int(match[1]) if match else None


class KnownMessages:
    """The client ids of one session.

    A file that was read while an answer was still being written left the first parts of that answer in the store. When
    it is read again the answer comes whole; only the parts that are missing are new.

    What was purged stays away. So does a row at or below the newest known one, of a table whose numbers only grow: it
    was here already.
    """

    def __init__(self, client_ids: Iterable[str] = (), *, purged: Container[str] = frozenset()) -> None:
        """Begin with the ids that the store holds, and with those that it held until somebody purged them."""
        self._purged = purged
        self._ids: set[str] = set()
        self._covered: dict[str, int] = {}
        self._newest_row = 0
        """Of those that the store holds."""
        for client_id in client_ids:
            self._note(client_id)

    def is_newest(self, message: ImportedMessage) -> bool:
        """Say whether the message stands in the newest row that is known."""
        return message.position is not None and message.position == self._newest_row

    def take(self, message: ImportedMessage) -> ImportedMessage | None:
        """Return what of `message` is new, None when nothing is, and count it as known from now on."""
        fresh: ImportedMessage | None = message
        if message.answer_key is not None:
            fresh = message.rest(after=self._covered_of(message, message.answer_key))
        if fresh is None or fresh.client_id in self._ids or fresh.client_id in self._purged or self._is_past(fresh):
            return None
        self._note(fresh.client_id)
        return fresh

    def _is_past(self, message: ImportedMessage) -> bool:
        """Say whether the message stands in a row that later ones have passed."""
        return message.position is not None and message.position <= self._newest_row

    def _covered_of(self, answer: ImportedMessage, key: str) -> int:
        """Return the index of the last part of an answer that was here; pieces of it may have been purged since."""
        last = self._covered.get(key, 0)
        indexes = [part.index for part in answer.parts]
        while ends := [
            end
            for end in indexes
            if end > last and answer_id(key, first=max(last + 1, indexes[0]), last=end) in self._purged
        ]:
            last = ends[0]
        return last

    def _note(self, client_id: str) -> None:
        """Remember one id, its row if it names one, and how far an answer is covered if it belongs to one."""
        self._ids.add(client_id)
        self._newest_row = max(self._newest_row, row_number(client_id) or 0)
        answer_key, mark, span = client_id.rpartition("#")
        first, dash, last = span.partition("-")
        if mark and dash and first.isdecimal() and last.isdecimal():
            self._covered[answer_key] = max(self._covered.get(answer_key, 0), int(last))
