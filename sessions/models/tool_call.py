"""A tool call: asked for by an assistant message or an event, closed by a result, a refusal or the turn's end."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, models
from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Length, Replace, Right, Substr

from sessions.models.among import Among, AmongTexts, in_json, joined
from sessions.models.fields import WrittenJSONField, WrittenTextField, load_written
from sessions.models.prepared import Place, known, prepared, prepared_change
from sessions.models.turn import Turn
from sessions.models.writing import born, insert, update

if TYPE_CHECKING:
    from sessions.models.message import Message
    from sessions.models.session import Session

OUTPUT_END = 400
"""Characters at each end of an output that `with_outputs` loads."""
DETAIL_LENGTH = 200
"""Characters kept of the argument that matters."""
TELLING_ARGUMENTS = (
    "command", "cmd", "file_path", "path", "notebook_path", "pattern", "query", "url", "prompt", "description",
    "agent_name", "name", "question", "text", "content",
)  # fmt: skip
"""Arguments in the order in which they tell a person most about a call."""

REJECTED_TEXTS = ("User rejected this action", "[rejected by user]", "[rejected:")
ABORTED_TEXTS = ("[cancelled]",)
"""What Koda writes as the result of a call that a person refused, or that was cut off (contracts/koda.md 2)."""


class Outcome(models.TextChoices):
    """How a call ended."""

    SUCCESS = "success"
    FAILED = "failed"
    REJECTED = "rejected"
    ABORTED = "aborted"


def telling_argument(args: Any) -> str:
    """Return the one argument that tells a person what a call does, on one line, cut to `DETAIL_LENGTH`.

    `args` is what the agent sent: an object, its JSON text, or anything else.
    """
    if isinstance(args, str):
        try:
            args = load_written(args)
        except ValueError:
            return " ".join(args.split())[:DETAIL_LENGTH]
    if not isinstance(args, dict):
        return ""
    texts = {name: value for name, value in args.items() if isinstance(value, str) and value.strip()}
    name = next((name for name in TELLING_ARGUMENTS if name in texts), next(iter(texts), None))
    return " ".join(texts[name].split())[:DETAIL_LENGTH] if name else ""


class ToolCallQuerySet(models.QuerySet["ToolCall"]):
    """Rows of tool calls."""

    def open(self) -> "ToolCallQuerySet":
        """Return the calls without an outcome."""
        return self.filter(outcome__isnull=True)

    def made_here(self) -> "ToolCallQuerySet":
        """Leave out copies: they are counted in the session that a fork comes from, or among what a purge destroyed."""
        return self.exclude(is_copy=True)

    def with_outputs(self) -> "ToolCallQuerySet":
        """Load with each call what a closed row says of its output: both ends and its lines, never the whole."""
        text = F("result_message__content")
        line_ends = Length(text) - Length(Replace(text, Value("\n"), Value("")))
        return self.annotate(
            output_head=Substr(text, 1, OUTPUT_END), output_tail=Right(text, OUTPUT_END), output_line_ends=line_ends
        )


_ToolCallManager = models.Manager.from_queryset(ToolCallQuerySet)


class ToolCallManager(_ToolCallManager["ToolCall"]):
    """Birth of tool calls, under the session's lock."""

    def open_one(
        self, session: "Session", *, name: str, args: Any, turn_id: str | None, now: datetime, **facts: Any
    ) -> "ToolCall":
        """Open a call that began at `now` and count it in its session and its turn.

        `facts` are columns: call_id, message_id, is_sub_agent, start_seq, expected_by, is_timed.
        """
        call = born(
            ToolCall, session_id=session.pk, name=name, args=args, detail=telling_argument(args), turn_id=turn_id,
            started_at=now, **facts,
        )  # fmt: skip
        return self.bear(session, [call])[0]

    def bear(self, session: "Session", calls: "Sequence[ToolCall]") -> "Sequence[ToolCall]":
        """Insert calls that were asked for, and count them in their session and their turns; return them."""
        session.count_tool_calls(len(calls))
        for turn_id, count in Counter(call.turn_id for call in calls if call.turn_id is not None).items():
            Turn.objects.count_calls(session, turn_id, count)
        return insert(calls)

    def known(self, session: "Session", call_ids: Collection[str]) -> "dict[str, list[ToolCall]]":
        """Return the newest call with each of these ids, and the newest that is open, oldest first, by id.

        Agents are known to use an id again and again: no other call with it is looked at.
        """
        found: dict[str, list[ToolCall]] = defaultdict(list)
        for call in _newest(session.pk, in_json(sorted(call_ids))) if call_ids else ():
            found[call.call_id].append(call)
        return found

    def newest(self, session: "Session", call_id: str, *, is_open: bool | None = None) -> "ToolCall | None":
        """Return the newest call with this id; agents are known to use an id again."""
        return _with_id.first(session.pk, call_id, is_open=is_open)

    def take_back(self, session: "Session", messages: "models.QuerySet[Message]") -> list[int]:
        """Undo what these messages told of calls, before they go: calls asked for, results brought.

        A call or a result of which an event told as well stays. Counters of session and turns follow. Return the ids of
        the calls that are open again. The caller holds the session's lock.
        """
        own = self.filter(session=session)
        if not own.filter(Q(message__in=messages) | Q(result_message__in=messages)).exists():
            return []
        asked = own.filter(message__in=messages, start_seq=None)
        for turn_id, outcome, count in asked.values_list("turn_id", "outcome").annotate(models.Count("pk")).order_by():
            session.count_tool_calls(-count, outcomes={outcome: -count} if outcome else {})
            if turn_id is not None:
                Turn.objects.count_calls(session, turn_id, -count)
        asked.delete()
        # What an event or the end of a turn had closed before was closed at another time.
        answered = own.filter(result_message__in=messages, result_seq=None, ended_at=F("result_message__created_at"))
        rows = dict(answered.values_list("pk", "outcome"))
        for outcome, count in Counter(rows.values()).items():
            session.count_tool_calls(outcomes={str(outcome): -count})
        own.filter(pk__in=rows).update(outcome=None, ended_at=None, result_message=None)
        if own.filter(pk__in=rows, start_seq__isnull=False).exists():
            self.let_do(session)
        return sorted(rows)

    def count_as_copies(self, session: "Session") -> None:
        """Mark all calls of a session that was born with a history: they were made in another one."""
        self.filter(session=session).update(is_copy=True)

    def let_do(self, session: "Session") -> None:
        """Let a locked session do what the last begun of its open calls does, or nothing.

        Calls run side by side: the budget is the longest of those that are still open. What was left open before
        the running turn is not its doing.
        """
        last = _last_begun.first(*_running(session))
        if last is None:
            session.stop_doing()
            return
        budget = self.longest_budget(session)
        session.do(last.name, detail=last.detail, now=last.started_at, expected_by=budget)

    def longest_budget(self, session: "Session") -> datetime | None:
        """Return until when the open calls of the running turn may take, by the longest of their budgets."""
        return _longest_budget.first(*_running(session)) if session.has_open_calls else None

    def move_budgets(self, session_ids: Collection[int], span: timedelta, *, until: datetime) -> None:
        """Put off the budgets of these sessions' open calls that began before `until`, by what was not the agents'."""
        _move_budgets(joined(session_ids), until, models.DurationField().get_db_prep_value(span, connection))

    def changed(
        self, session: "Session", *, names: Collection[str], ids: Collection[int], results: Collection[int],
        aborted_since: datetime | None, limit: int,
    ) -> "list[ToolCall]":  # fmt: skip
        """Return the newest calls of older messages that are other than they were, with what a row says of outputs.

        Events named them by the agent's id or by their own, the messages `results` (which are none of the older ones)
        brought what came of them, or they were aborted since then.
        """
        given = {
            "names": in_json(names) if names else None, "ids": joined(ids) or None, "results": joined(results) or None,
            "aborted_since": aborted_since,
        }  # fmt: skip
        asked = {way: value for way, value in given.items() if value is not None}
        if not asked:
            return []
        return _changed(session.pk, joined(results), *asked.values(), ways=tuple(asked), limit=limit)

    def open_of(self, session: "Session", turn_id: str | None) -> "list[ToolCall]":
        """Return the open calls of a turn; None: those of no turn."""
        return _open_of(session.pk, *known(turn_id))


class ToolCall(models.Model):
    """One call. Its output is not copied: `result_message` or the event `result_seq` holds it."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="tool_calls", db_index=False)
    message = models.ForeignKey(
        "koda_sessions.Message", models.SET_NULL, null=True, blank=True, related_name="tool_call_rows"
    )
    result_message = models.ForeignKey(
        "koda_sessions.Message", models.SET_NULL, null=True, blank=True, related_name="tool_result_rows"
    )
    call_id = WrittenTextField()
    turn_id = WrittenTextField(null=True, blank=True)
    name = WrittenTextField()
    args = WrittenJSONField(null=True, blank=True, help_text="As the agent sent them: an object, or its text.")
    detail = WrittenTextField(blank=True, default="", help_text="The argument that matters.")
    is_sub_agent = models.BooleanField(default=False)
    outcome = models.CharField(max_length=10, choices=Outcome, null=True, blank=True)
    start_seq = models.BigIntegerField(null=True, blank=True)
    result_seq = models.BigIntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    expected_by = models.DateTimeField(null=True, blank=True, help_text="When the budget that it declared runs out.")
    is_timed = models.BooleanField(default=False, help_text="Start and end were told as they happened.")
    # Null is no: a column that may be null is added without rewriting a table to which agents write. It is also said of
    # one that a purge destroyed, keeping its figures, and that a history brought back.
    is_copy = models.BooleanField(null=True, help_text="It was made in the session of which this is a fork.")

    objects = ToolCallManager()

    class Meta:
        """Asked by session: in order, by the agent's id, and the open ones."""

        constraints = [
            models.CheckConstraint(
                condition=models.Q(outcome__isnull=True) | models.Q(outcome__in=Outcome.values), name="tool_outcome"
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True) ^ models.Q(outcome__isnull=False), name="tool_ends_somehow"
            ),
        ]
        indexes = [
            models.Index(fields=["session", "id"], name="tool_in_order"),
            models.Index(fields=["session", "call_id", "-id"], name="tool_by_call_id"),
            models.Index(fields=["session", "id"], condition=models.Q(outcome__isnull=True), name="tool_open"),
            # What a turn's beginning or end aborted, which open pages are told.
            models.Index(fields=["session", "ended_at"], condition=models.Q(outcome="aborted"), name="tool_aborted"),
        ]

    def __str__(self) -> str:
        """Return name and outcome."""
        return f"{self.name} {self.outcome or 'open'}"

    @property
    def is_open(self) -> bool:
        """Say whether it has no outcome yet."""
        return self.outcome is None

    @property
    def look(self) -> str:
        """Return the one word that chooses icon and colour."""
        if self.is_open:
            return "live"
        return "failed" if self.outcome == Outcome.FAILED else "resting"

    @property
    def took_seconds(self) -> float | None:
        """Return its duration in seconds, or None when nobody measured it."""
        if not self.is_timed or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    def end(self, outcome: str, *, now: datetime) -> None:
        """Give the call its outcome; the caller writes it."""
        self.outcome = outcome
        self.ended_at = now

    @staticmethod
    def outcome_of_text(output: Any) -> str:
        """Return the outcome that a result's text tells of, by Koda's fixed texts; any other is a success."""
        text = output if isinstance(output, str) else ""
        if text.startswith(REJECTED_TEXTS):
            return Outcome.REJECTED.value
        return Outcome.ABORTED.value if text.startswith(ABORTED_TEXTS) else Outcome.SUCCESS.value

    def begin(
        self, *, start_seq: int, turn_id: str | None, is_sub_agent: bool, expected_by: datetime | None, now: datetime
    ) -> None:
        """Note that a call which its message announced has begun; one that is closed already was not timed."""
        self.start_seq = start_seq
        self.turn_id = turn_id or self.turn_id
        self.is_sub_agent = is_sub_agent
        if self.is_open:
            self.started_at = now
            self.expected_by = expected_by
            self.is_timed = True
        update(self, ["start_seq", "turn_id", "is_sub_agent", "started_at", "expected_by", "is_timed"])

    def close(
        self,
        outcome: str,
        *,
        now: datetime,
        result_message_id: int | None = None,
        result_seq: int | None = None,
    ) -> None:
        """Give the call its outcome and say where its output stands. The caller holds the session's lock."""
        self.end(outcome, now=now)
        self.result_message_id = result_message_id or self.result_message_id
        self.result_seq = result_seq or self.result_seq
        update(self, ["outcome", "ended_at", "result_message_id", "result_seq"])

    def attach(
        self, *, message_id: int | None = None, result_message_id: int | None = None, result_seq: int | None = None
    ) -> None:
        """Tie the call to the message that asked for it, or to the message or event that holds its result."""
        self.message_id = message_id or self.message_id
        self.result_message_id = result_message_id or self.result_message_id
        self.result_seq = result_seq or self.result_seq
        update(self, ["message_id", "result_message_id", "result_seq"])


def _running(session: "Session") -> list[Any]:
    """Return what `_begun` asks by: the session, since when its turn runs, and the turn's id."""
    since = session.turn_started_at
    return [session.pk] if since is None else [session.pk, since, *known(session.turn_id)]


def _begun(session_id: Place, since: Place | None = None, turn_id: Place | None = None) -> ToolCallQuerySet:
    """Return the open calls that have begun in the running turn."""
    begun = ToolCall.objects.filter(session=session_id, start_seq__isnull=False).open()
    return begun if since is None else begun.filter(Q(turn_id=turn_id) | Q(started_at__gte=since))


@prepared
def _last_begun(*running: Place) -> ToolCallQuerySet:
    return _begun(*running).order_by("-start_seq")[:1]


@prepared
def _longest_budget(*running: Place) -> "models.QuerySet[ToolCall, datetime | None]":
    budgets = _begun(*running).filter(expected_by__isnull=False).order_by("-expected_by")
    return budgets.values_list("expected_by", flat=True)[:1]


@prepared_change
def _move_budgets(session_ids: Place, until: Place, span: Place) -> tuple[ToolCallQuerySet, dict[str, Any]]:
    declared = ToolCall.objects.filter(expected_by__isnull=False, started_at__lte=until).open()
    moved = F("expected_by") + models.ExpressionWrapper(span, models.DurationField())
    return declared.filter(Among("session_id", session_ids)), {"expected_by": moved}


@prepared
def _open_of(session_id: Place, turn_id: Place | None = None) -> ToolCallQuerySet:
    return ToolCall.objects.filter(session=session_id, turn_id=turn_id).open()


_WAYS: dict[str, Callable[[ToolCallQuerySet, Place], ToolCallQuerySet]] = {
    "names": lambda own, names: own.filter(AmongTexts("call_id", names)),
    "ids": lambda _own, ids: ToolCall.objects.filter(Among("pk", ids)),
    "results": lambda _own, ids: ToolCall.objects.filter(Among("result_message_id", ids)),
    "aborted_since": lambda own, at: own.filter(outcome=Outcome.ABORTED, ended_at__gte=at),
}
"""How a call of a session may have changed (see `ToolCallManager.changed`), each by an index of its own."""


@prepared
def _changed(session_id: Place, beside: Place, *given: Place, ways: tuple[str, ...], limit: int) -> ToolCallQuerySet:
    """Ask for each way by itself: asked for together, SQLite would go through all calls of the session."""
    own = ToolCall.objects.filter(session=session_id)
    first, *others = (_WAYS[way](own, place).values("pk") for way, place in zip(ways, given, strict=True))
    calls = own.filter(pk__in=first.union(*others, all=True) if others else first, message__isnull=False)
    return calls.exclude(Among("message_id", beside)).with_outputs().order_by("-id")[:limit]


@prepared
def _with_id(session_id: Place, call_id: Place, *, is_open: bool | None) -> ToolCallQuerySet:
    rows = ToolCall.objects.filter(session=session_id, call_id=call_id)
    if is_open is not None:
        rows = rows.filter(outcome__isnull=is_open)
    return rows.order_by("-id")[:1]


@prepared
def _newest(session_id: Place, call_ids: Place) -> ToolCallQuerySet:
    """Ask for the newest call and the newest open one with each id, each found at once in an index."""
    asked = "json_each(%s)" if connection.vendor == "sqlite" else "json_array_elements_text(%s::json)"
    own = "SELECT id FROM koda_sessions_toolcall t WHERE t.session_id = %s AND t.call_id = asked.value"
    chosen = (  # the ORM cannot ask so
        f"SELECT ({own} ORDER BY t.id DESC LIMIT 1) FROM {asked} asked"  # noqa: S608 - nothing of what was sent is in it
        f" UNION SELECT ({own} AND t.outcome IS NULL ORDER BY t.id DESC LIMIT 1) FROM {asked} asked"
    )
    params = [session_id, call_ids, session_id, call_ids]
    return ToolCall.objects.filter(pk__in=RawSQL(chosen, params)).order_by("id")  # noqa: S611 - values have places
