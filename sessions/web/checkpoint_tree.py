"""The checkpoints of a session as a tree of rows: which goes on from which, and what each brought."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import models

from sessions.models import Checkpoint, Session

PAGE = 200
LANES = 6
"""Branches that stand apart; those beyond share the last lane."""


@dataclass(frozen=True, slots=True)
class Row:
    """A checkpoint as it stands in the tree."""

    checkpoint: Checkpoint
    is_active: bool
    is_fork_point: bool
    begins_branch: bool

    @property
    def lane(self) -> int:
        """Return how far from the left its branch stands."""
        return min(int(self.checkpoint.branch), LANES - 1)

    @property
    def added_count(self) -> int:
        """Return how many messages it has that the one it goes on from has not."""
        return int(self.checkpoint.message_count - self.checkpoint.kept_count)

    @property
    def goes_back(self) -> bool:
        """Say whether it goes on from another than the one before it, on a branch that is there already."""
        return not self.begins_branch and self.checkpoint.continues_seq not in {None, self.checkpoint.seq - 1}


@dataclass(frozen=True, slots=True)
class Tree:
    """A page of the tree, the newest first."""

    rows: Sequence[Row]
    count: int
    branch_count: int
    older_before: int | None


def tree_of(session: Session, *, before: int | None = None) -> Tree:
    """Return the newest rows, or those before a seq, in two queries; in three before one."""
    rows = (
        Checkpoint.objects.of(session)
        .reverse()
        .only("uuid", "seq", "branch", "message_count", "kept_count", "continues_seq", "created_at", "session_id")
    )
    if before is not None:
        rows = rows.filter(seq__lt=before)
    page = list(rows[: PAGE + 1])
    is_more, page = len(page) > PAGE, page[:PAGE]
    newest = page[0] if page and before is None else session.active_checkpoint
    own = Checkpoint.objects.filter(session=session).order_by()
    firsts = own.filter(branch__gt=0).values("branch").annotate(first=models.Min("seq")).values("first")
    left = dict(own.filter(seq__in=firsts).values_list("seq", "continues_seq"))
    fork_points = set(left.values())
    return Tree(
        rows=[
            Row(
                checkpoint,
                is_active=checkpoint.pk == session.active_checkpoint_id,
                is_fork_point=checkpoint.seq in fork_points,
                begins_branch=checkpoint.seq in left,
            )
            for checkpoint in page
        ],
        count=newest.seq if newest else 0,
        branch_count=len(left) + 1,
        older_before=page[-1].seq if is_more else None,
    )
