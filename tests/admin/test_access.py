"""Who comes in: staff, to look at everything; and nobody changes what only verbs change."""

import pytest
from django.test import Client

from sessions.models import ApiKey, Event, Message, Session
from tests.admin.conftest import sign_in
from tests.admin.everything import RECORDS, make_everything
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def paths_of(record: str) -> list[str]:
    pk = {"session": Session, "message": Message, "event": Event}.get(record, ApiKey).objects.first().pk
    return [f"/admin/koda_sessions/{record}/", f"/admin/koda_sessions/{record}/{pk}/change/"]


@pytest.mark.parametrize("record", ["session", "message", "event", "apikey"])
def test_strangers_and_plain_users_are_sent_to_the_sign_in(record):
    make_everything()
    for client in (Client(), sign_in(make_user())):
        for path in paths_of(record):
            answer = client.get(path)
            assert answer.status_code == 302
            assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("record", RECORDS)
def test_staff_read_everything_without_further_permissions(looker, record):
    make_everything()
    assert looker.get(f"/admin/koda_sessions/{record}/").status_code == 200
    assert record in looker.get("/admin/").content.decode()


def test_staff_who_are_no_longer_active_are_out(looker):
    make_everything()
    user = make_user(is_staff=True, is_active=False)
    assert sign_in(user).get("/admin/koda_sessions/session/").status_code == 302


@pytest.mark.parametrize("record", [name for name in RECORDS if name != "apikey"])
def test_nobody_adds_a_record_by_hand(staff, record):
    assert staff.get(f"/admin/koda_sessions/{record}/add/").status_code == 403
    assert staff.post(f"/admin/koda_sessions/{record}/add/", {}).status_code == 403


@pytest.mark.parametrize("model", [Session, Message, Event, ApiKey])
def test_nobody_edits_a_record_by_hand(staff, model):
    make_everything()
    before = model.objects.values().first()
    path = f"/admin/koda_sessions/{model._meta.model_name}/{before['id']}/change/"
    answer = staff.post(path, {"title": "changed", "content": "changed", "type": "changed", "name": "changed"})
    assert answer.status_code == 403
    assert model.objects.values().get(pk=before["id"]) == before


@pytest.mark.parametrize("record", [name for name in RECORDS if name != "session"])
def test_only_whole_sessions_are_deleted(staff, record):
    make_everything()
    page = staff.get(f"/admin/koda_sessions/{record}/").content.decode()
    assert "delete_selected" not in page
    if record in {"message", "event"}:
        assert staff.post(f"{paths_of(record)[1].removesuffix('change/')}delete/", {"post": "yes"}).status_code == 403


def test_a_user_is_not_deleted_with_all_their_sessions(staff):
    session = make_everything()
    assert staff.post(f"/admin/auth/user/{session.owner_id}/delete/", {"post": "yes"}).status_code == 403
    staff.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": session.owner_id, "post": "yes"})
    assert Session.objects.filter(pk=session.pk).exists()
