"""What else is kept: token ledger, metadata, files, checkpoints, receipts of purges; leases of the jobs."""

from django.contrib import admin
from django.db.models import QuerySet

from sessions.admin.records import RecordAdmin, head_of, show_text
from sessions.models import Checkpoint, File, Lease, Metadata, Receipt, Usage


@admin.register(Usage)
class UsageAdmin(RecordAdmin[Usage]):
    """The token ledger."""

    columns = ("agent_name", "day", "prompt_tokens", "completion_tokens", "api_call_count")
    list_display = ("id", "session_link", *columns)


@admin.register(Metadata)
class MetadataAdmin(RecordAdmin[Metadata]):
    """Values by key."""

    columns = ("key", "updated_at")
    list_display = ("id", "session_link", "key", "holds", "updated_at")
    fields = ("session", "key", "value_shown", "updated_at")

    def for_list(self, rows: QuerySet[Metadata]) -> QuerySet[Metadata]:
        """Add the beginning of the value."""
        return super().for_list(rows).annotate(holds=head_of("value"))

    @admin.display(description="value")
    def holds(self, metadata: Metadata) -> str:
        """Return the beginning of the value."""
        return getattr(metadata, "holds", None) or ""

    @admin.display(description="value")
    def value_shown(self, metadata: Metadata) -> str:
        """Return the value."""
        return show_text(metadata.value)


@admin.register(File)
class FileAdmin(RecordAdmin[File]):
    """Files that sessions created."""

    columns = ("path", "created_at")
    list_display = ("id", "session_link", *columns)


@admin.register(Checkpoint)
class CheckpointAdmin(RecordAdmin[Checkpoint]):
    """Checkpoints; their messages are many and are read through the API."""

    columns = ("uuid", "seq", "branch", "message_count", "created_at")
    list_display = ("id", "session_link", *columns)
    fields = (
        "session", "uuid", "seq", "parent", "continues_seq", "kept_count", "branch", "message_count", "rest",
        "created_at", "updated_at",
    )  # fmt: skip


@admin.register(Lease)
class LeaseAdmin(RecordAdmin[Lease]):
    """Which server process does which job."""

    list_display = ("name", "owner", "until", "ran_at")
    search_fields = ()

    def for_list(self, rows: QuerySet[Lease]) -> QuerySet[Lease]:
        """Return the rows as they are: they belong to no session."""
        return rows


@admin.register(Receipt)
class ReceiptAdmin(RecordAdmin[Receipt]):
    """What purges destroyed."""

    list_display = ("uuid", "policy", "rule", "by", "session_count", "size", "is_complete", "started_at")
    search_fields = ()

    def for_list(self, rows: QuerySet[Receipt]) -> QuerySet[Receipt]:
        """Return the rows as they are: they belong to no session."""
        return rows
