"""Which messages of imported sessions were destroyed here: whoever reads their store again must not bring them back."""

import hashlib
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from sessions.models.message import Message
    from sessions.models.session import Session

_DIGEST_BYTES = 16
"""Of a million messages no two have the same by chance."""


@dataclass(frozen=True, slots=True)
class PurgedIds(Container[str]):
    """The client ids of what was destroyed of one session; they can be asked for, and not be read."""

    digests: frozenset[bytes] = frozenset()

    def __contains__(self, client_id: object) -> bool:
        """Say whether the message with this client id was destroyed."""
        return bool(self.digests) and isinstance(client_id, str) and digest_of(client_id) in self.digests


class PurgedMessagesManager(models.Manager["PurgedMessages"]):
    """Notes messages before they go, and tells which went."""

    def note(self, session: "Session", rows: "models.QuerySet[Message]") -> None:
        """Remember these messages, which are about to be destroyed; the caller holds the session's lock.

        Of a session that no import made nothing is remembered: nobody reads it again.
        """
        if not session.is_imported:
            return
        client_ids = rows.exclude(client_id=None).values_list("client_id", flat=True)
        self._keep(session, [digest_of(client_id) for client_id in client_ids if client_id is not None])

    def ids_of(self, session: "Session") -> PurgedIds:
        """Return which messages of a session were destroyed."""
        blobs = self.filter(session=session.pk).values_list("digests", flat=True)
        return PurgedIds(frozenset(digest for blob in blobs for digest in _digests_in(blob)))

    def keep_only(self, session: "Session", client_ids: Iterable[str]) -> None:
        """Forget all messages but these: the others have gone from their store too, and may be written there anew.

        The caller holds the session's lock.
        """
        digests = self.ids_of(session).digests
        if not digests:
            return
        kept = digests.intersection(map(digest_of, client_ids))
        if len(kept) < len(digests):
            self.filter(session=session).delete()
            self._keep(session, kept)

    def _keep(self, session: "Session", digests: Collection[bytes]) -> None:
        if digests:
            self.create(session=session, digests=b"".join(digests))


class PurgedMessages(models.Model):
    """Some messages of one session that were destroyed together: digests of their client ids, one after the other."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="purged_messages")
    digests = models.BinaryField()

    objects = PurgedMessagesManager()

    class Meta:
        """Asked by session."""

        verbose_name_plural = "purged messages"

    def __str__(self) -> str:
        """Return how many."""
        return f"{len(self.digests) // _DIGEST_BYTES} purged messages"


def digest_of(client_id: str) -> bytes:
    """Return what is kept of a client id: it can be known again, and not be read."""
    return hashlib.blake2b(client_id.encode(errors="replace"), digest_size=_DIGEST_BYTES).digest()


def _digests_in(blob: bytes | memoryview) -> list[bytes]:
    """Return the digests that stand one after the other; PostgreSQL hands out a view."""
    whole = bytes(blob)
    return [whole[start : start + _DIGEST_BYTES] for start in range(0, len(whole), _DIGEST_BYTES)]
