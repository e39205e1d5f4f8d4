"""What all records have in common here: staff read them, nobody edits them, and lists stay cheap."""

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.db import DataError
from django.db.models import Model, QuerySet, TextField
from django.db.models.functions import Substr
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from sessions.admin.changelist import KeysetChangeList
from sessions.models import Session

LONGEST_SHOWN = 100_000
"""Characters of one text that a page shows; one message may have 16 million."""
HEAD_LENGTH = 120
"""Characters of a text that a list shows."""
_LONGEST_NUMBER = 19  # digits of a 64-bit integer

_Record = TypeVar("_Record", bound=Model)


def link_to(record: Model, text: str) -> SafeString:
    """Return a link to the admin's page of `record`."""
    meta = record._meta  # noqa: SLF001 - public in all but name
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[record.pk])
    return format_html('<a href="{}">{}</a>', url, Truncator(text).chars(60))


def list_of(model: type[Model]) -> str:
    """Return the path of the admin's list of `model`."""
    meta = model._meta  # noqa: SLF001 - public in all but name
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


def head_of(field: str) -> Substr:
    """Return an expression for the beginning of a long column, so that lists do not load the rest."""
    return Substr(field, 1, HEAD_LENGTH, output_field=TextField())


def show_text(text: str | None) -> str:
    """Return `text` as it was written, line for line, cut where a page would become too long.

    Null and the empty text look different, because they are.
    """
    if text is None:
        return "-"  # as Django shows null
    rest = len(text) - LONGEST_SHOWN
    more = f"\n… and {rest:,} more characters" if rest > 0 else ""
    return format_html('<pre class="koda-written">{}{}</pre>', text[:LONGEST_SHOWN], more)


def show_json(value: Any) -> str:
    """Return a JSON value as people read it."""
    return show_text(None if value is None else json.dumps(value, ensure_ascii=False, indent=2))


class OpenFilter(admin.EmptyFieldListFilter):
    """Narrows to records whose end is not written yet, or is; the column is null in the meantime."""

    names: ClassVar[dict[str, str]] = {"1": "Open", "0": "Ended"}
    what = "progress"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what is narrowed instead of naming the column."""
        super().__init__(*args, **kwargs)
        self.title = self.what

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return Django's three choices in words of their own."""
        for value, choice in zip((None, "1", "0"), super().choices(changelist), strict=True):
            yield {**choice, "display": self.names.get(value or "", "All")}


class RecordAdmin(admin.ModelAdmin[_Record]):
    """Records of one session each, newest first, read only.

    `columns` are what the list needs of the record's own table; anything longer is left there.
    """

    columns: ClassVar[Sequence[str]] = ()

    actions_on_top = True
    list_per_page = 100
    list_max_show_all = 0
    ordering = ("-pk",)
    search_fields: ClassVar[tuple[str, ...]] = ("pk",)
    search_help_text = "The id of a session, or the number of a record."
    show_facets = ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that counts nothing."""
        return KeysetChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[_Record]:
        """Return the rows; for lists with their session's name and without long columns."""
        rows = super().get_queryset(request)
        return self.for_list(rows) if self._is_list(request) else rows

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> _Record | None:
        """Return the record with this key; a key that no column can hold is nobody's."""
        try:
            return super().get_object(request, object_id, from_field)
        except DataError:
            return None

    def for_list(self, rows: QuerySet[_Record]) -> QuerySet[_Record]:
        """Return the rows with just what the list shows."""
        names = ("session__uuid", "session__title", "session__key")
        return rows.select_related("session").only("session_id", *self.columns, *names)

    def _is_list(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        return match is not None and str(match.url_name).endswith("_changelist")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[_Record], search_term: str
    ) -> tuple[QuerySet[_Record], bool]:
        """Return what `find` finds; it never makes duplicates."""
        term = search_term.strip()
        return (self.find(queryset, term) if term else queryset), False

    def find(self, rows: QuerySet[_Record], term: str) -> QuerySet[_Record]:
        """Return the record with this number or the records of the session with this id: look-ups by index only."""
        if term.isascii() and term.isdigit() and len(term) <= _LONGEST_NUMBER:
            return rows.filter(pk=int(term))
        session_id = read_uuid(term)
        return rows.none() if session_id is None else rows.filter(session__uuid=session_id)

    @admin.display(description="session")
    def session_link(self, record: Any) -> str:
        """Return a link to the record's session."""
        session: Session = record.session
        return link_to(session, session.display_title)

    def has_view_permission(self, request: HttpRequest, obj: _Record | None = None) -> bool:
        """Staff see everything (API.md section 1, "Who sees what"); no further permission is asked for."""
        return request.user.is_active and request.user.is_staff

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the records in the index to whoever may see them."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: records are born by verbs."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: _Record | None = None) -> bool:
        """Refuse: what happened is not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: _Record | None = None) -> bool:
        """Refuse: single records are not taken out of the history of a session."""
        return False


def read_uuid(text: str) -> uuid.UUID | None:
    """Return the id that `text` spells, or None."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
