"""What can never be stored, on either database, whoever writes: one case for each constraint of every record."""

from datetime import UTC, date, datetime

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from sessions.models import (
    Alarm,
    ApiKey,
    AuditEntry,
    Checkpoint,
    CheckpointPiece,
    Command,
    Event,
    EventAlias,
    FigureSum,
    File,
    Message,
    MessageAlias,
    Metadata,
    Place,
    Request,
    Session,
    StoredAnswer,
    ToolCall,
    Turn,
    Usage,
)
from sessions.models.counted import TOKEN_NAMES
from tests.factories import make_key, make_session, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 3, 1)

OF_ANY = {"session": {"liveness_since": NOW, "created_at": NOW, "updated_at": NOW, "last_activity_at": NOW}}
REQUEST = {"kind": "approval", "opened_seq": 1, "opened_at": NOW}
CALL = {"call_id": "c", "name": "Bash", "started_at": NOW}

REFUSED_ROWS = [
    ("session_state", Session, {"state": "asleep"}),
    ("session_liveness", Session, {"liveness": "dead"}),
    ("session_needs", Session, {"needs": "coffee"}),
    ("session_visibility", Session, {"visibility": "public"}),
    ("session_status", Session, {"status": "GONE"}),
    ("session_turn_start_only_while_running", Session, {"state": "idle", "turn_started_at": NOW}),
    ("session_turn_start_only_while_running", Session, {"state": "error", "turn_started_at": NOW}),
    ("session_deleted_at_iff_deleted", Session, {"status": "DELETED"}),
    ("session_deleted_at_iff_deleted", Session, {"deleted_at": NOW}),
    ("session_counts_not_negative", Session, {"message_count": -1}),
    ("session_counts_not_negative", Session, {"last_seq": -1}),
    ("session_counts_not_negative", Session, {"tool_call_count": -1}),
    ("message_has_role", Message, {"role": "", "created_at": NOW}),
    *((f"message_{name}_ge_0", Message, {"role": "user", "created_at": NOW, name: -1}) for name in TOKEN_NAMES),
    ("event_seq_from_one", Event, {"seq": 0, "type": "info", "received_at": NOW}),
    ("event_has_type", Event, {"seq": 99, "type": "", "received_at": NOW}),
    ("turn_ends_for_a_reason", Turn, {"turn_id": "t", "ended_at": NOW}),
    ("turn_ends_for_a_reason", Turn, {"turn_id": "t", "reason": "complete"}),
    ("turn_ends_for_a_reason", Turn, {"turn_id": "t", "ended_at": NOW, "reason": "bored"}),
    ("tool_outcome", ToolCall, {**CALL, "outcome": "perhaps", "ended_at": NOW}),
    ("tool_ends_somehow", ToolCall, {**CALL, "outcome": "success"}),
    ("tool_ends_somehow", ToolCall, {**CALL, "ended_at": NOW}),
    ("request_status", Request, {**REQUEST, "status": "maybe", "closed_at": NOW}),
    ("request_closed_sometime", Request, {**REQUEST, "status": "answered"}),
    ("request_closed_sometime", Request, {**REQUEST, "status": "open", "closed_at": NOW}),
    ("command_status", Command, {"body": {}, "created_at": NOW, "status": "lost"}),
    ("alarm_kind", Alarm, {"kind": "bored", "seq": 1, "at": NOW}),
]

REFUSED_TWICE = [
    ("session_key_once", Session, {"key": "k", "key_digest": "d"}),
    ("message_client_id_once", Message, {"role": "user", "created_at": NOW, "client_id": "m"}),
    ("event_seq_once", Event, {"seq": 99, "type": "info", "received_at": NOW}),
    ("event_id_once", Event, {"seq": None, "type": "info", "received_at": NOW, "event_id": "e"}),
    ("event_alias_once", EventAlias, {"event_id": "e", "seq": 1}),
    ("message_alias_once", MessageAlias, {"digest": "d", "message_id": 1}),
    ("alarm_once", Alarm, {"kind": "lost", "seq": 1, "at": NOW}),
    ("turn_id_once", Turn, {"turn_id": "t"}),
    ("usage_once", Usage, {"agent_name": "main", "day": DAY}),
    ("metadata_key_once", Metadata, {"key": "todo", "value": "", "updated_at": NOW}),
    ("file_path_once", File, {"path": "/a", "created_at": NOW}),
    ("checkpoint_seq_once", Checkpoint, {"seq": 1, "created_at": NOW, "updated_at": NOW}),
    ("checkpoint_piece_once", CheckpointPiece, {"first": 1, "end": 2, "text": "{}"}),
]

OF_DELIVERIES = {"delivery_once", "delivery_kind", "delivery_waits_or_is_over"}
"""See test_delivery.py: they belong to a webhook."""
OF_FIGURES = {"figure_sum_once"}
"""See below: it belongs to a place."""


def make_row(model: type[models.Model], facts: dict, *, session: Session, seq: int = 50) -> models.Model:
    facts = {name: seq if value is None and name == "seq" else value for name, value in facts.items()}
    if model is Session:
        facts = {**OF_ANY["session"], "owner": session.owner, "source": "s", "agent_name": "a", **facts}
        return model._base_manager.create(**facts)
    return model._base_manager.create(session=session, **facts)


def refuses(name: str):
    """Expect the refusal by this very constraint; SQLite does not name a unique one that is no index of its own."""
    is_unnamed = connection.vendor == "sqlite" and name.endswith("_once")
    return pytest.raises(IntegrityError, match="UNIQUE constraint failed" if is_unnamed else name)


@pytest.mark.parametrize(("name", "model", "facts"), REFUSED_ROWS)
def test_a_row_that_cannot_be_is_refused(name, model, facts):
    session = make_session()
    with refuses(name), transaction.atomic():
        make_row(model, facts, session=session)


@pytest.mark.parametrize(("name", "model", "facts"), REFUSED_TWICE)
def test_what_is_there_once_is_refused_a_second_time(name, model, facts):
    session = make_session()
    make_row(model, facts, session=session)
    with refuses(name), transaction.atomic():
        make_row(model, facts, session=session, seq=51)


@pytest.mark.parametrize(("name", "model", "facts"), [case for case in REFUSED_TWICE if case[1] is not Session])
def test_the_same_in_another_session_is_welcome(name, model, facts):
    owner = make_user()
    for session in (make_session(owner), make_session(owner)):
        make_row(model, facts, session=session)
    assert (
        model._base_manager.filter(**{n: v for n, v in facts.items() if n in {"event_id", "key", "path"}}).count() >= 2
    )


def test_a_deed_that_has_no_word_is_refused():
    with refuses("audit_action"), transaction.atomic():
        AuditEntry.objects.note("wondered", by="shell", subject="x", now=NOW)


def test_there_is_one_sum_of_a_place_a_scope_and_a_slot():
    place = Place.objects.create(digest="d", grain=0)
    for scope, slot in ((1, 202603), (1, 202604), (2, 202603)):
        FigureSum.objects.create(place=place, grain=0, scope=scope, slot=slot)
    with refuses("figure_sum_once"), transaction.atomic():
        FigureSum.objects.create(place=place, grain=0, scope=1, slot=202603)


def test_every_constraint_has_a_case():
    declared = {
        constraint.name
        for model in apps.get_app_config("koda_sessions").get_models()
        for constraint in model._meta.constraints
    }
    tried = {name for name, *_ in (*REFUSED_ROWS, *REFUSED_TWICE)} | {"answer_once", "audit_action"}
    assert tried | OF_DELIVERIES | OF_FIGURES == declared


@pytest.mark.parametrize("other", [{"source": "s2"}, {"key_digest": "d2"}, {"status": "DELETED", "deleted_at": NOW}])
def test_a_key_is_unique_only_within_its_owner_its_source_and_the_living(other):
    session = make_session()
    facts = {"key": "k", "key_digest": "d"}
    make_row(Session, {**facts, **other}, session=session)
    make_row(Session, facts, session=session)
    make_row(Session, {**facts, "owner": make_user()}, session=session)
    assert Session.objects.filter(key="k").count() == 3


def test_many_sessions_may_have_no_key():
    session = make_session()
    for _ in range(3):
        make_row(Session, {}, session=session)
    assert Session.objects.filter(key_digest=None).count() == 4


def test_many_messages_and_events_may_have_no_id_of_their_sender():
    session = make_session()
    for seq in (50, 51):
        make_row(Message, {"role": "user", "created_at": NOW}, session=session)
        make_row(Event, {"seq": seq, "type": "info", "received_at": NOW}, session=session)
    assert session.messages.count() == 2


@pytest.mark.parametrize("has_key", [True, False])
def test_an_answer_is_stored_once_a_caller_and_key(has_key):
    user = make_user()
    api_key = make_key(user).record if has_key else None
    facts = {
        "user": user, "api_key": api_key, "idempotency_key": "i", "path": "/", "body_digest": "", "status": 200,
        "body": "", "created_at": NOW,
    }  # fmt: skip
    StoredAnswer.objects.create(**facts)
    with pytest.raises(IntegrityError), transaction.atomic():
        StoredAnswer.objects.create(**facts)
    StoredAnswer.objects.create(**{**facts, "idempotency_key": "j"})
    StoredAnswer.objects.create(**{**facts, "user": make_user()})
    assert StoredAnswer.objects.count() == 3


@pytest.mark.parametrize("model", [Session, Checkpoint])
def test_public_ids_are_unique(model):
    session = make_session()
    facts = {} if model is Session else {"seq": 1, "created_at": NOW, "updated_at": NOW}
    first = make_row(model, facts, session=session)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_row(model, {**facts, "uuid": first.uuid, **({"seq": 2} if facts else {})}, session=session)


def test_a_digest_belongs_to_one_key():
    key = make_key().record
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.create(user=key.user, name="n", source="s", digest=key.digest, hint="h", created_at=NOW)


@pytest.mark.parametrize("name", TOKEN_NAMES)
def test_a_count_of_zero_and_none_are_both_welcome(name):
    session = make_session()
    for value in (0, None, 2**62):
        make_row(Message, {"role": "assistant", "created_at": NOW, name: value}, session=session)
    assert session.messages.count() == 3
