"""What leaves the house: webhooks and their deliveries. The secret, and the rest of an address, are their owner's."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from sessions.admin.records import OpenFilter, RecordAdmin, link_to, show_json, show_text
from sessions.models import Delivery, Webhook, who


class GivenUpFilter(OpenFilter):
    """Narrows to deliveries that were given up."""

    names = {"1": "Told or waiting", "0": "Given up"}
    what = "end"


class WaitingFilter(OpenFilter):
    """Narrows to deliveries that still wait for an attempt."""

    names = {"1": "Over", "0": "Waiting"}


@admin.register(Webhook)
class WebhookAdmin(RecordAdmin[Webhook]):
    """Webhooks, by owner and host."""

    list_display = ("id", "host", "owner", "on_stuck", "on_lost", "on_needs", "quiet_minutes", "is_enabled")
    fields = ("host", "owner", "on_stuck", "on_lost", "on_needs", "quiet_minutes", "is_enabled", "created_at")
    search_help_text = "The number of a webhook, or its owner's name."
    actions = ("switch_off",)

    def for_list(self, rows: QuerySet[Webhook]) -> QuerySet[Webhook]:
        """Return the rows with their owners."""
        return rows.select_related("owner").defer("secret")

    def find(self, rows: QuerySet[Webhook], term: str) -> QuerySet[Webhook]:
        """Return webhooks by number or by their owner's name."""
        is_owners = Q(owner__username=term)
        return rows.filter(is_owners | Q(pk=int(term)) if term.isascii() and term.isdigit() else is_owners)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse to narrow by secret or address, or their letters could be found out one by one."""
        is_hidden = lookup.startswith(("secret", "url"))
        return not is_hidden and super().lookup_allowed(lookup, value, request)

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Ask Django's permission to change webhooks; to switch one off is the only change there is here."""
        return request.user.has_perm("koda_sessions.change_webhook")

    @admin.action(description="Switch off selected webhooks", permissions=["switch"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Call them no more; what waits for them is given up."""
        enabled = list(queryset.filter(is_enabled=True))
        for webhook in enabled:
            webhook.change(by=who(request.user), is_enabled=False)
        self.message_user(request, f"{len(enabled)} switched off.", messages.SUCCESS)


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin[Delivery]):
    """The outbox: what was told, what waits and what was given up."""

    columns = ("kind", "source", "due_at", "next_attempt_at", "attempts", "last_status", "delivered_at", "given_up_at")
    list_display = ("id", "webhook_link", "session_link", *columns)
    list_filter = (("next_attempt_at", WaitingFilter), ("given_up_at", GivenUpFilter))
    fields = (
        "uuid", "webhook_link", "session", "seq", "kind", "source", "body_shown", "due_at", "next_attempt_at",
        "attempts", "last_attempt_at", "last_status", "last_error_shown", "delivered_at", "given_up_at",
    )  # fmt: skip

    def for_list(self, rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """Return the rows with the host that each goes to."""
        return super().for_list(rows).select_related("webhook").only(
            "session_id", *self.columns, "session__uuid", "session__title", "session__key", "webhook__url"
        )  # fmt: skip

    @admin.display(description="session")
    def session_link(self, record: Any) -> str:
        """Return a link to the session; what tells of a whole source, or tests the way, has none."""
        return super().session_link(record) if record.session_id else "-"

    @admin.display(description="webhook")
    def webhook_link(self, delivery: Delivery) -> str:
        """Return a link to the webhook."""
        return link_to(delivery.webhook, delivery.webhook.host)

    @admin.display(description="body")
    def body_shown(self, delivery: Delivery) -> str:
        """Return what is told."""
        return show_json(delivery.body)

    @admin.display(description="last error")
    def last_error_shown(self, delivery: Delivery) -> str:
        """Return why the last attempt failed."""
        return show_text(delivery.last_error)
