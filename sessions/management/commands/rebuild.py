"""Recompute what is kept beside the records: counters and sizes of sessions, figures, and the search index."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand

from sessions import counting, indexing, recounting, retention
from sessions.exceptions import NotFound
from sessions.models import SearchEntry, Session
from sessions.models.batching import batched
from sessions.recounting import Difference

BY = "shell"
_AT_ONCE = 200
_SECONDS = 60.0
"""How long one look measures what agents changed meanwhile: with many at work there is always more."""
_LOOKS = 5
"""How often a session is looked at again because it was written to meanwhile; one that never rests is not judged."""


class Command(BaseCommand):
    help = (
        "Hold the counters, sizes and figures of all sessions against their records and set right what differs; with "
        "--search, make the search index anew instead. Both may run while the server does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--search", action="store_true", help="make the search index anew; counters are left alone")
        parser.add_argument(
            "--check", action="store_true", help="change nothing, and exit with 1 when something differs or is missing"
        )
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *, search: bool, check: bool, **options: Any) -> None:
        outcome = self._search(is_check=check) if search else self._count(is_check=check)
        is_wrong = bool(outcome["differences"]) or any(outcome.get(name) for name in ("missing", "misfiled", "broken"))
        self.stdout.write(json.dumps(outcome) if options["json"] else _sentence(outcome, is_check=check))
        if check and is_wrong:
            sys.exit(1)

    def _count(self, *, is_check: bool) -> dict[str, Any]:
        """Recount all sessions, one at a time; return what differed."""
        found: list[dict[str, Any]] = []
        sessions = Session.objects.order_by("pk")
        for session in sessions.iterator(chunk_size=500):
            differing = recounting.differences(session)
            if differing:  # Read without a lock it may be a write half seen; the second look holds the session.
                differing = _second_look(session.pk, is_check=is_check)
            found += [_told(str(session.uuid), one.counter, one.kept, one.counted) for one in differing]
        found += self._measure(is_check=is_check)
        found += self._figures(is_check=is_check)
        return {"sessions": sessions.count(), "differences": found}

    def _measure(self, *, is_check: bool) -> list[dict[str, Any]]:
        """Measure what waits to be measured, then all sessions again; return what differed."""
        return _held(
            catch_up=retention.measure, look=retention.mismeasured, mend=None if is_check else retention.measure_again,
            tell=lambda session, one: _told(session, f"footprint.{one.figure}", one.kept, one.measured),
        )  # fmt: skip

    def _figures(self, *, is_check: bool) -> list[dict[str, Any]]:
        """Count what waits to be counted, then all sessions again, and add up what they add; return what differed."""
        found = _held(
            catch_up=counting.count, look=counting.miscounted, mend=None if is_check else counting.count_again,
            tell=lambda session, one: _told(session, f"figures.{one.name}", one.kept, one.counted),
        )  # fmt: skip
        wrong = counting.wrong_sums()
        if wrong and not is_check:
            counting.start_again()
            counting.count(seconds=_SECONDS)
        return found + [_told("all", f"sum of figures.{one.name}", one.kept, one.counted) for one in wrong]

    def _search(self, *, is_check: bool) -> dict[str, Any]:
        """Make the index anew, with progress on a terminal; or say what it lacks."""
        if is_check:
            indexing.finish()
            misfiled = SearchEntry.objects.misfiled_count()
            return {"differences": [], **indexing.shortcomings(), "misfiled": misfiled}
        indexing.start_again()
        indexing.finish(tell=self._tell)
        return {"differences": [], "entries": indexing.indexed_count()}

    def _tell(self, count: int) -> None:
        """Show progress where somebody looks."""
        if sys.stderr.isatty():
            self.stderr.write(f"{count:,} indexed", ending="\r")


def _held(
    *,
    catch_up: Callable[..., object],
    look: Callable[[list[int]], list[Any]],
    mend: Callable[[list[int]], object] | None,
    tell: Callable[[str, Any], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Hold what is kept beside all sessions against their records, mend what differs if that is wished; return it."""
    catch_up(seconds=_SECONDS)
    found: list[dict[str, Any]] = []
    rows = Session.objects.order_by("pk").values_list("pk", "uuid")
    for piece in batched(rows.iterator(chunk_size=_AT_ONCE), _AT_ONCE):
        some = dict(piece)
        differing = look(list(some))
        if differing:  # It may have changed just now: then the log tells of it, and the second look agrees.
            differing = _at_rest(sorted({one.session_id for one in differing}), catch_up=catch_up, look=look)
        if differing and mend is not None:
            mend(sorted({one.session_id for one in differing}))
        found += [tell(str(some[one.session_id]), one) for one in differing]
    return found


def _at_rest(ids: list[int], *, catch_up: Callable[..., object], look: Callable[[list[int]], list[Any]]) -> list[Any]:
    """Return what differs of these sessions while nobody writes to them."""
    found: list[Any] = []
    for _ in range(_LOOKS):
        before = _revisions(ids)
        catch_up(seconds=_SECONDS)
        differing = look(ids)
        after = _revisions(ids)
        found += [one for one in differing if before.get(one.session_id) == after.get(one.session_id)]
        ids = [pk for pk in after if before.get(pk) != after[pk]]
        if not ids:
            break
    return found


def _revisions(ids: list[int]) -> dict[int, int]:
    return dict(Session.objects.filter(pk__in=ids).values_list("pk", "revision"))


def _told(session: str, counter: str, kept: int, counted: int) -> dict[str, Any]:
    return {"session": session, "counter": counter, "kept": kept, "counted": counted}


def _second_look(session_id: int, *, is_check: bool) -> list[Difference]:
    try:
        return recounting.differences_held(session_id) if is_check else recounting.correct(session_id, by=BY)
    except NotFound:  # destroyed meanwhile
        return []


def _sentence(outcome: dict[str, Any], *, is_check: bool) -> str:
    """Return the outcome for people."""
    if "missing" in outcome:
        state = "is broken" if outcome["broken"] else "is sound"
        misfiled = f" {outcome['misfiled']:,} entries stand under what their session no longer is."
        lacks = f"The search index {state} and lacks {outcome['missing']:,} messages."
        return lacks + (misfiled if outcome["misfiled"] else "")
    if "entries" in outcome:
        return f"The search index was made anew: {outcome['entries']:,} entries."
    lines = [
        f"{one['session']}  {one['counter']}: kept {one['kept']:,}, counted {one['counted']:,}"
        for one in outcome["differences"]
    ]
    verb = "differ" if is_check else "differed and were set right"
    lines.append(f"{len(lines):,} counters of {outcome['sessions']:,} sessions {verb}.")
    return "\n".join(lines)
