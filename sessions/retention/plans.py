"""What goes, decided from plain values. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The sessions that go, those below before those above them; those due that stay for another's sake.

    Those `following` go although they are not due themselves.
    """

    going: list[int]
    staying: set[int]
    following: set[int]


def plan(due: Sequence[int], parents: Mapping[int, int], *, follows: Collection[int] = ()) -> Plan:
    """Decide which sessions go: all that are due, unless one stands below them that stays.

    `due` are ids in the order in which people see them, `parents` says of each session below another which that is.
    One that `follows` goes with its parent although it is not in `due` itself.
    """
    wanted = dict.fromkeys(due)
    followers = set(follows).difference(wanted)
    holders = [pk for pk in parents if pk not in wanted and pk not in followers]
    staying = {above for pk in holders for above in _above(pk, parents)}
    going = [pk for pk in (*wanted, *sorted(followers)) if _is_free(pk, wanted, followers - staying, parents, staying)]
    depth = {pk: sum(1 for _ in _above(pk, parents)) for pk in going}
    return Plan(sorted(going, key=lambda pk: -depth[pk]), staying.intersection(wanted), followers.intersection(going))


def _is_free(
    pk: int | None,
    wanted: Collection[int],
    followers: Collection[int],
    parents: Mapping[int, int],
    staying: Collection[int],
) -> bool:
    """Say whether a session goes: it is due, or follows one that is, and nothing holds it."""
    while pk is not None and pk in followers:
        pk = parents.get(pk)
    return pk in wanted and pk not in staying


def _above(pk: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Yield what stands above a session, the nearest first."""
    seen = {pk}
    while (parent := parents.get(pk)) is not None and parent not in seen:
        seen.add(parent)
        yield parent
        pk = parent


def stretches(gone: Sequence[int], kept: Iterable[int]) -> list[list[int]]:
    """Return `gone`, growing ids, as [[first, last], …] between which there is none of `kept`.

    Ids between two of `gone` that belong to others say nothing: a stretch may cover them.
    """
    between = sorted(pk for pk in kept if gone and gone[0] < pk < gone[-1])
    found: list[list[int]] = []
    place = 0
    for pk in gone:
        is_apart = False
        while place < len(between) and between[place] < pk:
            place, is_apart = place + 1, True
        if found and not is_apart:
            found[-1][1] = pk
        else:
            found.append([pk, pk])
    return found
