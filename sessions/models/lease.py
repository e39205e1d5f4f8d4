"""A lease: which server process does a job that only one should do, and when it last did."""

from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from sessions.models.fields import WrittenJSONField
from sessions.models.prepared import Place, prepared


class LeaseManager(models.Manager["Lease"]):
    """Takes and gives back leases without locks: one conditional update decides."""

    def take(self, name: str, *, owner: str, seconds: float, now: datetime | None = None) -> bool:
        """Take or renew the lease `name` for `owner`; say whether it is theirs for the next `seconds`.

        One that runs for more than twice that long was taken before the clock was set back, and counts for nothing.
        """
        now = now or timezone.now()
        until = now + timedelta(seconds=seconds)
        mine_or_over = Q(owner=owner) | Q(until__lte=now) | Q(until__gt=until + timedelta(seconds=seconds))
        with transaction.atomic():
            self.bulk_create([Lease(name=name, owner=owner, until=now)], ignore_conflicts=True)
            return self.filter(mine_or_over, name=name).update(owner=owner, until=until) == 1

    def give_back(self, name: str, *, owner: str, now: datetime | None = None) -> None:
        """End the lease if `owner` holds it, so that another need not wait for it to run out."""
        self.filter(name=name, owner=owner).update(until=now or timezone.now())

    def last_run(self, name: str) -> datetime | None:
        """Return when the job `name` last ran anywhere, or None when it never did."""
        return _ran_at.first(name)

    def note_run(self, name: str, *, now: datetime) -> datetime | None:
        """Note a job that nobody holds alone as run at `now`; return when it ran before. The caller has a transaction.

        Of several at once each sees what the one before it noted.
        """
        self.bulk_create([Lease(name=name, owner="", until=now)], ignore_conflicts=True)
        before: datetime | None = self.select_for_update().values_list("ran_at", flat=True).get(name=name)
        self.touch(name, now=now)
        return before

    def at_present(self, name: str) -> "Lease | None":
        """Return the lease `name` as it is now, or None when nobody ever had it."""
        return _named.first(name)

    def leave(self, name: str, left_over: list[dict[str, Any]]) -> None:
        """Keep what this run of a job could not do; the next finds it. The caller has a transaction."""
        self.bulk_create([Lease(name=name, owner="", until=timezone.now())], ignore_conflicts=True)
        self.filter(name=name).update(left_over=left_over)

    def touch(self, name: str, *, now: datetime | None = None) -> None:
        """Note that the job ran; health and the board show the age of this."""
        with transaction.atomic():  # on SQLite it takes its turn among the transactions of the process
            self.filter(name=name).update(ran_at=now or timezone.now())


class Lease(models.Model):
    """One job."""

    name = models.CharField(max_length=50, primary_key=True)
    owner = models.CharField(max_length=200)
    until = models.DateTimeField()
    ran_at = models.DateTimeField(null=True, blank=True)
    left_over = WrittenJSONField(null=True, blank=True, help_text="What its last runs could not do yet.")

    objects = LeaseManager()

    def __str__(self) -> str:
        """Return the job and who holds it."""
        return f"{self.name} held by {self.owner}"


@prepared
def _ran_at(name: Place) -> "models.QuerySet[Lease, datetime | None]":
    return Lease.objects.filter(name=name).values_list("ran_at", flat=True)


@prepared
def _named(name: Place) -> "models.QuerySet[Lease]":
    return Lease.objects.filter(name=name)
