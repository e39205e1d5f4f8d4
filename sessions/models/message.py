"""A message: one row of a conversation. Its id is global, grows, and is never reused."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Coalesce, Length, Substr
from django.db.models.sql.compiler import SQLCompiler

from sessions.models.among import Among, give, joined
from sessions.models.counted import TOKEN_NAMES, TokenCounts
from sessions.models.fields import NAME_BYTES, WrittenJSONField, WrittenTextField
from sessions.models.prepared import Place, prepared
from sessions.models.tool_call import ToolCall

SHOWN = 16 * 1024
"""Characters of a text that a page shows before it says how long the whole is."""

PROMPTS_LOOKED_AT = 20
"""Prompts, blank ones too, among which the one is looked for that makes the title."""

HEADS = ("head", "thinking_head")
"""Under which names `with_heads` loads the beginnings of content and thinking."""


class Role(models.TextChoices):
    """The four roles of the contracts; importers may keep others."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Octets(models.Func):
    """The length of a text in bytes of UTF-8, on both databases."""

    function = "OCTET_LENGTH"
    output_field = models.IntegerField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """Measure the text as a blob: SQLite's LENGTH counts characters of text and bytes of blobs."""
        return super().as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))")


def octets_of(*columns: str) -> Any:
    """Return the expression of the bytes in these text columns of a row; null has none."""
    return sum((Octets(Coalesce(name, models.Value(""))) for name in columns), start=models.Value(0))


class MessageQuerySet(models.QuerySet["Message"]):
    """Rows of conversations; order is always by id, never by time."""

    def of(self, session_id: "int | Place") -> "MessageQuerySet":
        """Return the rows of one session, oldest first."""
        return self.filter(session=session_id).order_by("id")

    def unarchived(self) -> "MessageQuerySet":
        """Leave out what a compaction archived."""
        return self.filter(compacted_at__isnull=True)

    def archived(self, *, before: datetime | None = None) -> "MessageQuerySet":
        """Return what a compaction archived; with `before`, strictly earlier than that."""
        rows = self.filter(compacted_at__isnull=False)
        return rows if before is None else rows.filter(compacted_at__lt=before)

    def for_transcript(self) -> "MessageQuerySet":
        """Leave out tool rows that are shown inside their call; `with_calls` loads the calls of those that stay.

        Of long texts only the beginning comes, as `head` and `thinking_head`, with the true `size` in bytes.
        """
        is_shown_in_call = ToolCall.objects.filter(result_message=models.OuterRef("pk"), message__isnull=False)
        return self.exclude(models.Q(role=Role.TOOL) & models.Exists(is_shown_in_call)).with_heads()

    def with_heads(self) -> "MessageQuerySet":
        """Load of content and thinking one character more than is shown, and the bytes of the content."""
        texts = zip(HEADS, ("content", "thinking"), strict=True)
        heads = {name: Substr(text, 1, SHOWN + 1) for name, text in texts}
        return self.defer("content", "thinking").annotate(**heads, size=Octets("content"))

    def archive(self, at: datetime) -> int:
        """Take these rows out of the model's context as of `at`, deleting nothing; return how many there were."""
        self.lock_in_order()
        return self.update(compacted_at=at)

    def lock_in_order(self) -> None:
        """Lock these rows from the oldest on, as the search index does, before many are changed by one statement.

        In an order of its own it would wait for rows of the index, and the index for those that it has.
        On SQLite the transaction itself is the lock.
        """
        if connections[self.db].features.has_select_for_update:
            list(self.order_by("id").select_for_update(no_key=True).values_list("pk", flat=True))

    def with_words(self) -> "MessageQuerySet":
        """Return rows whose content is neither null nor empty; white space passes (Koda's rule)."""
        return self.exclude(content=None).exclude(content="")

    def first_prompts(self) -> list[tuple[int, str]]:
        """Return key and words of the first of a person's messages that say anything."""
        rows = self.filter(role=Role.USER).with_words().order_by("id").values_list("pk", "content")
        return [(pk, text) for pk, text in rows[:PROMPTS_LOOKED_AT] if text and text.strip()]

    def last_content(self, role: str) -> str | None:
        """Return the newest content of `role` that is not null, archived or not; an empty one counts (Koda's rule)."""
        rows = self.filter(role=role, content__isnull=False).order_by("-id")
        content: str | None = rows.values_list("content", flat=True).first()
        return content

    def model_calls(self) -> "MessageQuerySet":
        """Return rows that stand for a model call: prompt or completion tokens are not null (contracts/koda.md 1.6)."""
        return self.filter(models.Q(prompt_tokens__isnull=False) | models.Q(completion_tokens__isnull=False))

    def true_size(self) -> int:
        """Return the bytes of content and tool calls in UTF-8."""
        size = Octets(Coalesce("content", models.Value(""))) + Octets(Coalesce("tool_calls", models.Value("")))
        return int(self.aggregate(total=Coalesce(models.Sum(size), 0))["total"])

    def koda_size(self) -> int:
        """Return the size as Koda counts it, in characters: a row without content adds nothing."""
        size = Length("content") + Length(Coalesce("tool_calls", models.Value("")))
        return int(self.aggregate(total=Coalesce(models.Sum(size), 0))["total"])


_MessageManager = models.Manager.from_queryset(MessageQuerySet)


class MessageManager(_MessageManager["Message"]):
    """Birth happens in `transcripts.append`, under the session's lock."""

    def shown(self, ids: Iterable[int]) -> "list[Message]":
        """Return those of these messages that a transcript shows by themselves, as `for_transcript` loads them."""
        return _shown(joined(ids))


class Message(models.Model):
    """One row. Null content and empty content are different things and stay so."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="messages", db_index=False)
    role = models.CharField(max_length=NAME_BYTES)
    content = WrittenTextField(null=True, blank=True)
    thinking = WrittenTextField(null=True, blank=True)
    tool_calls = WrittenJSONField(null=True, blank=True, help_text="The array as sent; null is not [].")
    tool_call_id = WrittenTextField(null=True, blank=True)
    prompt_tokens = models.BigIntegerField(null=True, blank=True)
    completion_tokens = models.BigIntegerField(null=True, blank=True)
    cache_read_tokens = models.BigIntegerField(null=True, blank=True)
    cache_creation_tokens = models.BigIntegerField(null=True, blank=True)
    thinking_tokens = models.BigIntegerField(null=True, blank=True)
    agent_name = WrittenTextField(null=True, blank=True)
    model = WrittenTextField(null=True, blank=True)
    turn_id = WrittenTextField(null=True, blank=True)
    client_id = WrittenTextField(null=True, blank=True, help_text="The sender's own id.")
    created_at = models.DateTimeField()
    compacted_at = models.DateTimeField(null=True, blank=True)

    objects = MessageManager()

    class Meta:
        """Constraints hold for every door; each index says who reads it."""

        constraints = [
            models.UniqueConstraint(
                fields=["session", "client_id"],
                condition=models.Q(client_id__isnull=False),
                name="message_client_id_once",
            ),
            models.CheckConstraint(condition=~models.Q(role=""), name="message_has_role"),
            *(
                models.CheckConstraint(
                    condition=models.Q(**{f"{name}__isnull": True}) | models.Q(**{f"{name}__gte": 0}),
                    name=f"message_{name}_ge_0",
                )
                for name in TOKEN_NAMES
            ),
        ]
        indexes = [
            # The transcript, both ways; the context view.
            models.Index(fields=["session", "id"], name="message_transcript"),
            # The newest user or assistant message of a session, and recent prompts over all sessions.
            models.Index(fields=["session", "role", "-id"], name="message_by_role"),
            models.Index(fields=["-id"], condition=models.Q(role="user"), name="message_prompts"),
            # Compacted stats and purge.
            models.Index(
                fields=["compacted_at", "id"], condition=models.Q(compacted_at__isnull=False), name="message_archived"
            ),
            # How many a session has; a long one is not gone through for it.
            models.Index(
                fields=["session"], condition=models.Q(compacted_at__isnull=False), name="message_archived_of"
            ),
        ]

    def __str__(self) -> str:
        """Return id and role."""
        return f"{self.pk} {self.role}"

    @property
    def is_model_call(self) -> bool:
        """Say whether the row stands for a model call (contracts/koda.md 1.6)."""
        return self.prompt_tokens is not None or self.completion_tokens is not None

    @property
    def usage(self) -> TokenCounts | None:
        """Return the five counts, 0 where one was not reported, or None when none was."""
        if all(getattr(self, name) is None for name in TOKEN_NAMES):
            return None
        return TokenCounts.from_mapping({name: getattr(self, name) for name in TOKEN_NAMES})

    def rewrite(self, *, role: str, content: str | None) -> None:
        """Say something else in this place. Calls, thinking and the answered call went with the old words.

        Who spoke, the tokens and the time stay: they were spent. The caller holds the session's lock.
        """
        self.role = role
        self.content = content
        self.thinking = self.tool_calls = self.tool_call_id = None
        self.save(update_fields=["role", "content", "thinking", "tool_calls", "tool_call_id"])

    def take_usage(self, usage: TokenCounts) -> None:
        """Take over the tokens that its model call took. The caller holds the session's lock and keeps the counters."""
        for name, value in usage.as_columns().items():
            setattr(self, name, value)
        self.save(update_fields=list(usage.as_dict()))

    def calls(self) -> list[dict[str, Any]]:
        """Return the tool calls that this row asks for; anything that is not an array of objects is none."""
        return calls_in(self.tool_calls)


def with_calls(rows: Sequence[Message]) -> Sequence[Message]:
    """Give each row its calls as `calls_made`, as `with_outputs` loads them, in one query; return the rows."""
    return give(rows, into="calls_made", by="message_id", ask=lambda ids: _calls_of(joined(ids)))


@prepared
def _shown(ids: Place) -> MessageQuerySet:
    return Message.objects.for_transcript().filter(Among("pk", ids))


@prepared
def _calls_of(message_ids: Place) -> "models.QuerySet[ToolCall]":
    return ToolCall.objects.filter(Among("message_id", message_ids)).with_outputs().order_by("id")


def calls_in(value: Any) -> list[dict[str, Any]]:
    """Return the tool calls in what the column of a message holds; what is no array of objects has none."""
    return [call for call in value if isinstance(call, dict)] if isinstance(value, list) else []
