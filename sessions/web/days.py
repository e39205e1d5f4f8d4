"""Days that a reader names in a filter."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone

FIRST, LAST = date(1970, 1, 2), date(9998, 12, 30)
"""Beyond these a change of zone leaves the calendar; nothing was before, and nothing comes after."""


def midnight(day: str | None, *, days: int = 0) -> datetime | None:
    """Return the beginning of a day in the server's time zone, or of the day so many after it."""
    if not day:
        return None
    named = min(max(date.fromisoformat(day), FIRST), LAST)
    return timezone.make_aware(datetime.combine(named, time())) + timedelta(days=days)
