"""Connect: a key is shown once, its lines are exact, the first signal shows, and keys are revoked by their owner."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from sessions.models import ApiKey, AuditEntry
from tests.factories import make_key, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse

FORM = {"name": "laptop", "agent": "koda", "source": "", "scopes": ["write", "read"]}


def make(client, **fields):
    return client.post("/connect/", {**FORM, **fields})


def test_whoever_is_not_signed_in_is_sent_to_sign_in(client, db):
    assert client.get("/connect/").headers["Location"] == "/sign-in/?next=/connect/"


def test_a_key_is_made_and_shown_this_once(owner, reader):
    response = make(reader, source="flat")
    shown = parse(response.content)
    plain = shown.by_id("paste-key").text
    key = ApiKey.objects.find(plain)
    assert (key.user, key.name, key.source, key.scopes) == (owner, "laptop", "flat", {"write", "read"})
    assert "no-store" in response.headers["Cache-Control"]
    assert plain not in reader.get("/connect/").content.decode()
    assert plain not in reader.get(f"/connect/?key={key.pk}").content.decode()


def test_each_way_has_its_lines_with_address_and_key(owner, reader):
    shown = parse(make(reader).content)
    plain = shown.by_id("paste-key").text
    assert [details.one("summary").text for details in shown.one("div", "ways").all("details")] == [
        "Koda", "ZeroClaw", "Stakpak", "curl", "Python",
    ]  # fmt: skip
    assert [way.one("summary").text for way in shown.one("div", "ways").all("details") if "open" in way.attrs] == [
        "Koda"
    ]
    assert f"export STAKPAK_API_ENDPOINT=http://testserver export STAKPAK_API_KEY={plain} stakpak" == (
        shown.by_id("paste-stakpak").text
    )
    for name in ("curl", "python", "koda-engine", "zeroclaw-backend", "stakpak-login"):
        assert plain in shown.by_id(f"paste-{name}").text
        assert "http://testserver" in shown.by_id(f"paste-{name}").text
    assert "--source laptop" in shown.by_id("paste-koda").text


def test_a_key_for_stakpak_begins_as_its_client_insists(owner, reader):
    assert parse(make(reader, agent="stakpak").content).by_id("paste-key").text.startswith("stkpk_api_")


def test_names_of_shells_stay_one_word(owner, reader):
    text = parse(make(reader, source="my $(rm) 'box'").content).by_id("paste-koda").text
    assert """--source 'my $(rm) '"'"'box'"'"''""" in text


@pytest.mark.parametrize(
    "fields", [{"name": ""}, {"agent": "x"}, {"scopes": []}, {"name": "a\x00b"}, {"scopes": ["x"]}]
)
def test_what_cannot_be_a_key_is_said_beside_the_form(owner, reader, fields):
    shown = parse(make(reader, **fields).content)
    assert shown.one("div", "note").attrs["role"] == "alert"
    assert not ApiKey.objects.exists()


def test_it_waits_for_a_signal_and_turns_when_the_key_is_used(owner, reader):
    key = make_key(owner, source="laptop")
    waits = parse(reader.get(f"/connect/{key.record.pk}/signal/").content).by_id("signal")
    assert reader.get(f"/connect/{key.record.pk}/signal/", headers={"HX-Request": "true"}).status_code == 204
    assert waits.attrs["hx-trigger"] == "every 2s"
    assert waits.one("a").attrs["href"] == f"/connect/?key={key.record.pk}"
    key.record.note_use(timezone.now())
    come = parse(reader.get(f"/connect/{key.record.pk}/signal/").content).by_id("signal")
    assert "data-come" in come.attrs
    assert "hx-get" not in come.attrs


def test_a_session_of_the_source_is_a_signal_too_and_linked(owner, reader):
    with time_machine.travel(timezone.now() - timedelta(hours=1)):
        make_session(owner, source="laptop", title="From before")
    key = make_key(owner, source="laptop").record
    assert "data-come" not in parse(reader.get(f"/connect/?key={key.pk}").content).by_id("signal").attrs
    session = make_session(owner, source="laptop", title="First of all")
    come = parse(reader.get(f"/connect/?key={key.pk}").content).by_id("signal")
    assert come.one("a").attrs["href"] == f"/sessions/{session.uuid}/"


def test_own_keys_are_listed_and_revoked_and_no_others(owner, reader):
    mine, other = make_key(owner).record, make_key().record
    rows = parse(reader.get("/connect/").content).one("tbody").all("tr")
    assert len(rows) == 1
    assert rows[0].one("code").text == mine.hint
    reader.post(f"/connect/{mine.pk}/revoke/")
    mine.refresh_from_db()
    assert mine.revoked_at is not None
    assert reader.post(f"/connect/{other.pk}/revoke/").status_code == 404
    assert reader.get(f"/connect/{other.pk}/signal/").status_code == 404
    assert reader.get(f"/connect/?key={other.pk}").status_code == 404
    other.refresh_from_db()
    assert other.revoked_at is None
    assert "revoked" in parse(reader.get("/connect/").content).one("tbody").text


def test_the_audit_log_says_who_made_and_revoked_a_key(owner, reader):
    make(reader)
    reader.post(f"/connect/{ApiKey.objects.get().pk}/revoke/")
    told = list(AuditEntry.objects.order_by("pk").values_list("action", "by"))
    assert told[-2:] == [("key_issued", f"user:{owner.pk}"), ("key_revoked", f"user:{owner.pk}")]


def test_staff_revokes_others_keys_in_the_admin_not_here(db):
    other = make_key().record
    staff = signed_in(make_user(is_staff=True))
    assert staff.post(f"/connect/{other.pk}/revoke/").status_code == 404


def test_its_queries_do_not_grow_with_the_keys(owner, reader, django_assert_max_num_queries):
    for _ in range(9):
        make_key(owner)
    with django_assert_max_num_queries(4):  # session, user, keys, the inbox
        reader.get("/connect/")


@pytest.mark.parametrize(("ends", "days"), [("", None), ("30", 30), ("365", 365)])
def test_a_key_ends_when_its_maker_wants_it_to(owner, reader, ends, days):
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        make(reader, ends=ends)
        key = ApiKey.objects.get(user=owner)
        assert key.expires_at == (None if days is None else datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=days))
        assert ("ends 2026-03-31" in reader.get("/connect/").content.decode()) == (days == 30)


def test_an_end_that_is_not_offered_makes_no_key(owner, reader):
    make(reader, ends="-1")
    assert not ApiKey.objects.filter(user=owner).exists()
