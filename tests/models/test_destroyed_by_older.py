"""A server of an older version, which was not restarted yet, destroys sessions in the tables of this one."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from sessions.models import Footprint, MessageAlias, PurgedCalls, PurgedMessages, Session, Share
from tests.factories import make_message, make_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "version", ["0011_audit", "0013_own_entries", "0015_names_of_deliveries", "0024_measured_so_far"]
)
def test_what_it_knows_nothing_of_does_not_keep_it_from_destroying(version):
    older = MigrationLoader(connection).project_state(("koda_sessions", version)).apps
    session, other = make_session(), make_session()
    make_message(session)
    for one in (session, other):
        Share.objects.create(session=one, owner_key=one.owner_id, is_public=False, agent_name="koda", source="laptop")
        PurgedCalls.objects.create(session=one, day="2026-03-01", name="Bash", outcome=None, count=3)
        PurgedMessages.objects.create(session=one, digests=b"")
        MessageAlias.objects.create(session=one, digest="", message_id=1)
        Footprint.objects.create(session=one, owner=one.owner, source="laptop", born_at=one.created_at)

    older.get_model("koda_sessions", "Session").objects.get(pk=session.pk).delete()

    assert list(Session.objects.all()) == [other]
    assert sorted(Share.objects.values_list("session", flat=True), key=str) == [other.pk, None], "it is taken out later"
    assert list(PurgedCalls.objects.values_list("session", flat=True)) == [other.pk]
    assert list(PurgedMessages.objects.values_list("session", flat=True)) == [other.pk]
    assert list(MessageAlias.objects.values_list("session", flat=True)) == [other.pk]
    assert list(Footprint.objects.values_list("session", flat=True)) == [other.pk]
