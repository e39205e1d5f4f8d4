"""The turns of a session as its page tells them: what was asked, where the time went, what it cost."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Min, OuterRef, Subquery, Sum
from django.db.models.functions import Substr

from sessions.models import TOKEN_NAMES, Message, Request, Role, Session, ToolCall, Turn
from sessions.models.message import MessageQuerySet
from sessions.web import blocks
from sessions.web.blocks import Block
from sessions.web.lanes import Lane, Split, Stretch, split

SHOWN = 50
"""Turns that a page shows."""
_ASKED = 300
"""Characters of a prompt that are read for its one line."""
_BEGINNING = Substr("content", 1, _ASKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One turn. `is_measured`: start and end of all its tool calls were told as they happened."""

    turn: Turn
    asked: str
    message_id: int | None
    split: Split | None
    is_measured: bool
    lanes: list[Lane]

    @property
    def model_time(self) -> timedelta | None:
        """Return the time that the model took, None when it cannot be told from that of the tools."""
        return self.split.sum_of("model") if self.split and self.is_measured else None

    @property
    def tool_time(self) -> timedelta | None:
        """Return the time that tools took, None when nobody measured it."""
        return self.split.sum_of("tool") if self.split and self.is_measured else None

    @property
    def waiting_time(self) -> timedelta | None:
        """Return how long it waited for a person."""
        return self.split.sum_of("waiting") if self.split else None


def newest(session: Session, *, before: int | None = None) -> Block[Turn]:
    """Return the newest turns of `session`, or those before one."""
    rows = session.turns.all()
    if before is not None:
        return blocks.before(rows, before, key="pk", count=SHOWN)
    return blocks.newest(rows, key="pk", count=SHOWN)


def slowest(session: Session) -> list[Turn]:
    """Return the turns that took longest, the slowest first; those that have not ended are left out."""
    took = F("ended_at") - F("started_at")
    ended = session.turns.filter(ended_at__isnull=False, started_at__isnull=False)
    return list(ended.order_by(took.desc(), "-pk")[:SHOWN])


def rows_of(session: Session, turns: list[Turn], *, now: datetime) -> list[Row]:
    """Return what there is to say of `turns`, in their order, in four queries."""
    ids = [turn.turn_id for turn in turns]
    tools, unmeasured = _tools(session, ids, now=now)
    waits = _waits(session, ids, now=now)
    asked = _asked(session, turns)
    until = now if session.is_running else session.last_activity_at  # of a turn that was never closed
    splits: dict[int, Split] = {}
    for turn in turns:
        if turn.started_at is not None:
            end = turn.ended_at or until
            splits[turn.pk] = split(turn.started_at, end, tools=tools[turn.turn_id], waits=waits[turn.turn_id])
    scale = max((of_turn.total for of_turn in splits.values()), default=timedelta())
    return [
        Row(
            turn=turn,
            asked=asked.get(turn.turn_id, (None, ""))[1],
            message_id=asked.get(turn.turn_id, (None, ""))[0],
            split=splits.get(turn.pk),
            is_measured=turn.turn_id not in unmeasured,
            lanes=splits[turn.pk].lanes(scale) if turn.pk in splits else [],
        )
        for turn in turns
    ]


def _tools(session: Session, ids: list[str], *, now: datetime) -> tuple[dict[str, list[Stretch]], set[str]]:
    """Return when the tools of each turn ran, and the turns that have calls which nobody timed."""
    found: dict[str, list[Stretch]] = defaultdict(list)
    unmeasured = set()
    calls = ToolCall.objects.filter(session=session, turn_id__in=ids)
    for turn_id, since, until, is_timed in calls.values_list("turn_id", "started_at", "ended_at", "is_timed"):
        if is_timed:
            found[str(turn_id)].append((since, until or now))
        else:
            unmeasured.add(str(turn_id))
    return found, unmeasured


def _waits(session: Session, ids: list[str], *, now: datetime) -> dict[str, list[Stretch]]:
    found: dict[str, list[Stretch]] = defaultdict(list)
    requests = Request.objects.filter(session=session, turn_id__in=ids)
    for turn_id, since, until in requests.values_list("turn_id", "opened_at", "closed_at"):
        found[str(turn_id)].append((since, until or now))
    return found


def _asked(session: Session, turns: list[Turn]) -> dict[str, tuple[int, str]]:
    """Return by its id, for each turn that has messages, the one that asked for it and its beginning, in two queries.

    That is the last of the user up to the turn's first message: a prompt is kept before its turn starts. Where none
    came since the turn before, it is the turn's first message and no words.
    """
    ends = {turn.turn_id: turn.ended_at for turn in turns}
    rows = Message.objects.filter(session=session, turn_id__in=ends).order_by()
    firsts = rows.values("turn_id").annotate(first=Min("pk")).values_list("first", flat=True)
    found = {}
    for row in _with_prompts(list(firsts)).values("pk", "turn_id", *_PROMPT, "before_id", "before_end"):
        end = ends[row["turn_id"]]
        if row["prompt_id"] == row["pk"] and end is not None and row["prompt_at"] > end:
            continue  # said after a turn that failed, which is the session's own until the next begins
        is_own = row["prompt_id"] is not None and (row["prompt_id"] == row["pk"] or _is_after_the_turn_before(row))
        found[row["turn_id"]] = (row["prompt_id"], row["prompt"] or "") if is_own else (row["pk"], "")
    return found


_PROMPT = {"prompt_id": F("pk"), "prompt_at": F("created_at"), "prompt_in": F("turn_id"), "prompt": _BEGINNING}


def _with_prompts(firsts: list[int]) -> MessageQuerySet:
    """Return the first messages of turns, with the newest of the user up to each, and with the turn before theirs."""
    said = Message.objects.filter(session=OuterRef("session"), role=Role.USER, pk__lte=OuterRef("pk")).order_by("-pk")
    this = Turn.objects.filter(session=OuterRef(OuterRef("session")), turn_id=OuterRef(OuterRef("turn_id")))
    before = Turn.objects.filter(session=OuterRef("session"), pk__lt=Subquery(this.values("pk")[:1])).order_by("-pk")
    return Message.objects.filter(pk__in=firsts).annotate(
        **{name: Subquery(said.annotate(wanted=column).values("wanted")[:1]) for name, column in _PROMPT.items()},
        before_id=Subquery(before.values("turn_id")[:1]),
        before_end=Subquery(before.values("ended_at")[:1]),
    )


def _is_after_the_turn_before(row: dict[str, Any]) -> bool:
    """Say whether a prompt was said after the turn before had ended, so that it can have asked for the next one."""
    if row["before_id"] is None:
        return True
    at, end = row["prompt_at"], row["before_end"]
    return end is not None and (at > end if row["prompt_in"] == row["before_id"] else at >= end)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnUsage:
    """The five counts of one turn, None when nobody told them; `share` of the largest total beside it, in percent."""

    turn: Turn
    counts: dict[str, Any] | None
    total: int
    share: float


def usage_by_turn(session: Session, turns: list[Turn]) -> list[TurnUsage]:
    """Return the counts of each turn: the sums of its messages, else what its footer said; [] when no turn has any.

    One query. A footer knows no cache creation, which is then None.
    """
    calls = Message.objects.filter(session=session, turn_id__in=[turn.turn_id for turn in turns]).model_calls()
    sums = calls.order_by().values("turn_id").annotate(**{name: Sum(name) for name in TOKEN_NAMES})
    by_turn: dict[str, dict[str, Any]] = {str(row["turn_id"]): dict(row) for row in sums}
    found = [by_turn.get(turn.turn_id) or _footer(turn) for turn in turns]
    totals = [(counts["prompt_tokens"] or 0) + (counts["completion_tokens"] or 0) if counts else 0 for counts in found]
    if not any(found):
        return []
    most = max(totals) or 1
    return [
        TurnUsage(turn=turn, counts=counts, total=total, share=round(100 * total / most, 1))
        for turn, counts, total in zip(turns, found, totals, strict=True)
    ]


def _footer(turn: Turn) -> dict[str, Any] | None:
    counts = {name: getattr(turn, name, None) for name in TOKEN_NAMES}
    return counts if any(value is not None for value in counts.values()) else None
