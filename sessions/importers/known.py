"""Which messages a store already holds, so that a file can be read in pieces, again, and from the start. Pure."""

from collections.abc import Iterable

from sessions.importers.records import ImportedMessage


class KnownMessages:
    """The client ids of one session.

    A file that was read while an answer was still being written left the first parts of that answer in the store. When
    it is read again the answer comes whole; only the parts that are missing are new.
    """

    def __init__(self, client_ids: Iterable[str] = ()) -> None:
        """Begin with the ids that the store holds."""
        self._ids: set[str] = set()
        self._covered: dict[str, int] = {}
        for client_id in client_ids:
            self._note(client_id)

    def take(self, message: ImportedMessage) -> ImportedMessage | None:
        """Return what of `message` is new, None when nothing is, and count it as known from now on."""
        fresh: ImportedMessage | None = message
        if message.answer_key is not None:
            fresh = message.rest(after=self._covered.get(message.answer_key, 0))
        if fresh is None or fresh.client_id in self._ids:
            return None
        self._note(fresh.client_id)
        return fresh

    def _note(self, client_id: str) -> None:
        """Remember one id, and how far an answer is covered if it belongs to one."""
        self._ids.add(client_id)
        answer_key, mark, span = client_id.rpartition("#")
        first, dash, last = span.partition("-")
        if mark and dash and first.isdecimal() and last.isdecimal():
            self._covered[answer_key] = max(self._covered.get(answer_key, 0), int(last))
