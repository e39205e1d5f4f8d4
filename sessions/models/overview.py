"""What stands above every list of a reader, and is counted for each of their pages."""

from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils import timezone

from sessions.models.prepared import Counts, Place, count_of, counts_of, known, prepared
from sessions.models.request import Request
from sessions.models.session import Session
from sessions.models.session_rows import Band, confined_to


def band_counts(user: AbstractBaseUser | AnonymousUser, *, now: datetime) -> dict[str, int]:
    """Return how many sessions that `user` sees need a person, are adrift, run, and were active today, in one query.

    "Today" begins at midnight of the server's time zone.
    """
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    [counts] = _band_counts(midnight, *known(confined_to(user)))
    return counts


def asked_count(user: AbstractBaseUser | AnonymousUser) -> int:
    """Return how many requests wait for `user`, in one query over a small index."""
    return _asked(*known(confined_to(user)))[0] if user.is_authenticated else 0


@prepared
def _band_counts(midnight: Place, owner_id: Place | None = None) -> Counts[dict[str, int]]:
    seen = Session.objects.seen_by(owner_id).active()
    bands = {band.value: seen.in_band(band) for band in (Band.NEEDS, Band.ADRIFT, Band.RUNNING)}
    return counts_of(**bands, today=seen.filter(last_activity_at__gte=midnight))


@prepared
def _asked(owner_id: Place | None = None) -> Counts[int]:
    return count_of(Request.objects.open().of(Session.objects.kept_by(owner_id).active()))
