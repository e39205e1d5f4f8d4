"""Days that a reader names in a filter."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone


def midnight(day: str | None, *, days: int = 0) -> datetime | None:
    """Return the beginning of a day in the server's time zone, or of the day so many after it."""
    if not day:
        return None
    return timezone.make_aware(datetime.combine(date.fromisoformat(day), time())) + timedelta(days=days)
