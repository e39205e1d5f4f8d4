"""Messages that agents sent and a purge has destroyed: a repeat of one is still a repeat (docs/api.md, "Repeats").

Of imported sessions `purged_messages` remembers the same, for whoever reads their store again.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db import models

from sessions.models.among import AmongTexts, in_json
from sessions.models.fields import clean_text
from sessions.models.prepared import Place, prepared
from sessions.models.purged_messages import digest_of

if TYPE_CHECKING:
    from sessions.models.message import Message
    from sessions.models.session import Session

OF_CHECKPOINTS = "checkpoint:"
"""What the ids of messages begin with that checkpoints tell of; a history that comes back is appended anew."""


class MessageAliasManager(models.Manager["MessageAlias"]):
    """Notes client ids before their messages go, and tells which went."""

    def note(self, session: "Session", rows: "models.QuerySet[Message]") -> None:
        """Remember these messages of a locked session, which a purge is about to destroy.

        The caller records the session. An import has a memory of its own (`PurgedMessages`): it says what it wants
        again.
        """
        if session.is_imported:
            return
        named = rows.exclude(client_id=None).exclude(client_id__startswith=OF_CHECKPOINTS)
        aliases = [
            self.model(session=session, digest=_hex_of(str(client_id)), message_id=pk)
            for client_id, pk in named.values_list("client_id", "pk")
        ]
        if aliases:
            self.bulk_create(aliases, ignore_conflicts=True)
            session.has_message_aliases = True

    def known_ids(self, session: "Session", client_ids: Collection[str]) -> dict[str, int]:
        """Return the ids that the destroyed ones of these messages had, by client id; asked only if there are any."""
        if not client_ids or not session.has_message_aliases:
            return {}
        by_digest = {_hex_of(client_id): client_id for client_id in client_ids}
        return {by_digest[digest]: pk for digest, pk in _held(session.pk, in_json(by_digest))}


class MessageAlias(models.Model):
    """A sender's id of a message that is no more: its digest, and the id that the message had."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=32)
    message_id = models.BigIntegerField()

    objects = MessageAliasManager()

    class Meta:
        """Asked by session and digest only."""

        verbose_name_plural = "message aliases"
        constraints = [models.UniqueConstraint(fields=["session", "digest"], name="message_alias_once")]

    def __str__(self) -> str:
        """Return the digest and the id."""
        return f"{self.digest} → {self.message_id}"


def _hex_of(client_id: str) -> str:
    """Return the digest of a client id as a message keeps it."""
    return digest_of(clean_text(client_id)).hex()


@prepared
def _held(session_id: Place, digests: Place) -> "models.QuerySet[MessageAlias, tuple[str, int]]":
    rows = MessageAlias.objects.filter(AmongTexts("digest", digests), session=session_id)
    return rows.values_list("digest", "message_id")
