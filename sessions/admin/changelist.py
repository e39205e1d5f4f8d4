"""Lists that cost the same at a hundred rows and at ten million: keyset pages, and nothing is counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest

BEFORE = "before"
"""The parameter that names the primary key below which a page begins."""


@contextmanager
def _within_columns() -> Iterator[None]:
    """Raise `IncorrectLookupParameters` when a filter in the address asks for what no column can hold."""
    try:
        yield
    except (DataError, ValueError) as error:
        raise IncorrectLookupParameters(error) from error


class CountingChangeList(ChangeList):
    """Django's own list, for what an installation has few of; filters that cannot be lead back to it."""

    def get_results(self, request: HttpRequest) -> None:
        """Read one page. Raises `IncorrectLookupParameters`."""
        with _within_columns():
            super().get_results(request)


class KeysetChangeList(ChangeList):
    """A list ordered by primary key, newest first, that links to its newest and its next older page.

    Django's own counts every row that the filters leave and reads pages by OFFSET.
    """

    before: Any = None

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
        """Return the rows of all pages; the page's own parameter is no filter and stays out of the links."""
        self.params.pop(BEFORE, None)
        self.filter_params.pop(BEFORE, None)
        if text := request.GET.get(BEFORE):
            try:
                self.before = self.opts.pk.to_python(text)
            except ValidationError as error:
                raise IncorrectLookupParameters(error) from error
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and one row more, which tells whether there is an older page.

        Raises `IncorrectLookupParameters`.
        """
        rows = self.queryset if self.before is None else self.queryset.filter(pk__lt=self.before)
        with _within_columns():
            found = list(rows[: self.list_per_page + 1])
        page = found[: self.list_per_page]
        self.older_url = self.get_query_string({BEFORE: page[-1].pk}) if len(found) > len(page) else None
        self.newest_url = None if self.before is None else self.get_query_string()
        self.result_list = page
        # Equal counts: the templates then offer neither "all of n" nor "select all n".
        self.result_count = self.full_result_count = len(page)
        self.show_full_result_count = False
        self.show_admin_actions = bool(page)
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(page, self.list_per_page)
