"""A place: an agent of a source in a project, or all of them, of which figures are kept together."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from django.db import models

from sessions.models.fields import WrittenTextField, dump_json


class PlaceName(NamedTuple):
    """What makes a place: None is any; a project of "" is none."""

    agent_name: str | None = None
    source: str | None = None
    project_root: str | None = None

    @property
    def grain(self) -> int:
        """Return how fine it is: 0 is everything, 1 an agent of a source, 2 one project of that."""
        return (self.agent_name is not None) + (self.project_root is not None)

    @property
    def digest(self) -> str:
        """Return the digest by which it is looked up: the names together may be longer than an index row."""
        return hashlib.sha256(dump_json(list(self)).encode()).hexdigest()


class PlaceManager(models.Manager["Place"]):
    """Finds places by their names."""

    def ids_of(self, names: Iterable[PlaceName]) -> dict[PlaceName, int]:
        """Return the key of each place; those that are new are made. The caller has a transaction."""
        wanted = {name.digest: name for name in names}
        made = [self.model(digest=digest, grain=name.grain, **name._asdict()) for digest, name in wanted.items()]
        known = set(self.filter(digest__in=wanted).values_list("digest", flat=True))
        self.bulk_create([place for place in made if place.digest not in known], ignore_conflicts=True)
        return {wanted[digest]: pk for digest, pk in self.filter(digest__in=wanted).values_list("digest", "pk")}


class Place(models.Model):
    """One place. It goes with the last figure of it."""

    digest = models.CharField(max_length=64, unique=True)
    grain = models.PositiveSmallIntegerField()
    agent_name = WrittenTextField(null=True)
    source = models.CharField(max_length=100, null=True)
    project_root = WrittenTextField(null=True)

    objects = PlaceManager()

    class Meta:
        """Looked up by its digest, and by its project for the figures of one."""

        indexes = [models.Index(fields=["project_root"], name="place_by_project")]

    def __str__(self) -> str:
        """Return its names."""
        return " · ".join(name for name in (self.source, self.agent_name, self.project_root) if name) or "everywhere"

    @property
    def name(self) -> PlaceName:
        """Return what makes it."""
        return PlaceName(self.agent_name, self.source, self.project_root)
