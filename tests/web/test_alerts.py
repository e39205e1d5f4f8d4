"""The page of alerts: webhooks of one's own, what they were told, notifications; and nobody else's."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from sessions import alerts
from sessions.models import Delivery, Preference, Webhook
from tests.factories import make_events, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse

HOOK = "https://example.org/hook"
TYPED = {"url": HOOK, "kinds": ["needs", "lost"], "quiet_minutes": "7", "is_enabled": "on"}
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def webhook(owner) -> Webhook:
    return Webhook.objects.register(owner=owner, url=HOOK)


def page(reader, path="/account/alerts/"):
    response = reader.get(path)
    assert response.status_code == 200
    return parse(response.content)


def test_the_menu_leads_there(reader):
    assert page(reader, "/").one("div", "menu").one("a", href="/account/alerts/").text == "Alerts"


def test_a_webhook_is_added_with_what_was_typed(reader, owner):
    assert reader.post("/account/alerts/", TYPED).headers["Location"] == "/account/alerts/"
    added = Webhook.objects.get()
    assert (added.owner, added.url, added.kinds, added.quiet_minutes, added.is_enabled) == (
        owner, HOOK, ["lost", "needs"], 7, True,
    )  # fmt: skip
    row = page(reader).one("tbody").one("tr")
    assert row.one("a").text == "example.org"
    assert "7 min" in row.text


def test_the_path_of_an_address_and_the_secret_stay_on_the_webhooks_own_page(reader, webhook):
    shown = reader.get("/account/alerts/").content.decode()
    assert webhook.secret not in shown
    assert "org/hook</a>" not in shown
    assert page(reader, f"/account/alerts/webhooks/{webhook.pk}/").one("code").text == webhook.secret


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": ""}, "An address is needed."),
        ({"url": "ftp://example.org"}, "Address: It must look like https://example.org/hook."),
        ({"url": "http://127.0.0.1/"}, "Address: It is a private address; KODA_WEBHOOK_PRIVATE=on would allow it."),
        ({"quiet_minutes": "-1"}, "Quiet time: Ensure this value is greater than or equal to 0."),
        ({"kinds": ["coffee"]}, "coffee is not one of the available choices."),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_what_cannot_be_is_said_and_what_was_typed_stays(reader, webhook, wrong, said, is_new):
    path = "/account/alerts/" if is_new else f"/account/alerts/webhooks/{webhook.pk}/"
    response = reader.post(path, {**TYPED, "url": "https://new.example/", **wrong})
    assert response.status_code == 200
    shown = parse(response.content)
    assert said in shown.one("div", "note").text
    assert shown.one("input", name="url").attrs["value"] == wrong.get("url", "https://new.example/")
    assert list(Webhook.objects.values_list("url", flat=True)) == [HOOK]


def test_a_webhook_is_changed(reader, webhook):
    path = f"/account/alerts/webhooks/{webhook.pk}/"
    boxes = {box.attrs["value"]: "checked" in box.attrs for box in page(reader, path).all("input", name="kinds")}
    assert boxes == {"needs": True, "stuck": True, "lost": True}
    reader.post(path, {"url": "https://example.org/new", "quiet_minutes": "0"})
    webhook.refresh_from_db()
    assert (webhook.url, webhook.kinds, webhook.quiet_minutes, webhook.is_enabled) == (
        "https://example.org/new", [], 0, False,
    )  # fmt: skip


def test_a_test_is_written_to_the_outbox_and_shows_what_becomes_of_it(reader, webhook):
    reader.post(f"/account/alerts/webhooks/{webhook.pk}/test/")
    shown = page(reader)
    assert shown.by_id("deliveries").attrs["hx-trigger"] == "every 2s"
    assert shown.by_id("deliveries").one("tbody").one("tr").elements[-1].text == "Waits"
    (delivery,) = alerts.take(now=timezone.now())
    delivery.note_told(204, now=timezone.now())
    shown = page(reader).by_id("deliveries")
    assert "hx-get" not in shown.attrs
    assert shown.one("tbody").one("tr").elements[-1].text.startswith("Told 0")


def test_a_webhook_that_is_off_sends_no_test(reader, webhook):
    webhook.change(is_enabled=False)
    reader.post(f"/account/alerts/webhooks/{webhook.pk}/test/")
    assert not Delivery.objects.exists()


def test_a_failure_is_shown_with_its_reason_and_one_given_up_with_its_icon(reader, owner, webhook):
    session = make_session(owner, title="Tidy <b>")
    make_events(
        session, {"type": "turn_start", "turn_id": "t"}, {"type": "ask_user_request", "id": "q", "turn_id": "t"}, now=T0
    )
    alerts.spread(now=T0)
    (delivery,) = alerts.take(now=T0)
    delivery.note_failure("the receiver answered 500", status=500, now=T0)
    row = page(reader).by_id("deliveries").one("tbody").one("tr")
    assert [cell.text for cell in row.elements[:4]] == ["Needs you", "Tidy <b>", "example.org", "1"]
    assert row.elements[4].text.startswith("the receiver answered 500; again at")
    Delivery.objects.waiting().give_up("nobody there", now=T0)
    cell = page(reader).by_id("deliveries").one("tbody").one("tr").elements[4]
    assert "nobody there" in cell.text
    assert cell.all("svg")


def test_the_secret_is_replaced(reader, webhook):
    reader.post(f"/account/alerts/webhooks/{webhook.pk}/secret/")
    assert Webhook.objects.get().secret != webhook.secret


def test_a_webhook_is_removed_with_its_records(reader, webhook):
    webhook.try_out()
    reader.post(f"/account/alerts/webhooks/{webhook.pk}/remove/")
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("verb", ["", "test/", "secret/", "remove/"])
def test_those_of_others_do_not_exist_for_staff_neither(webhook, verb):
    path = f"/account/alerts/webhooks/{webhook.pk}/{verb}"
    before = Webhook.objects.values().get()
    for other in (make_user(), make_user(is_staff=True)):
        assert signed_in(other).post(path, TYPED).status_code == 404
        assert not page(signed_in(other)).all("tbody")
    nobody = signed_in(None).post(path, TYPED)
    assert nobody.headers["Location"].startswith("/sign-in/?next=")
    assert Webhook.objects.values().get() == before
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("verb", ["test/", "secret/", "remove/"])
def test_what_changes_something_is_a_post(reader, webhook, verb):
    assert reader.get(f"/account/alerts/webhooks/{webhook.pk}/{verb}").status_code == 405
    assert reader.get("/account/alerts/browser/").status_code == 405


def test_the_wall_notifies_whoever_chose_it(reader, owner):
    assert not page(reader, "/").all("meta", name="koda-notify")
    reader.post("/account/alerts/browser/", {"notifies": "on", "quiet_minutes": "3"})
    (told,) = page(reader, "/").all("meta", name="koda-notify")
    assert (told.attrs["content"], told.attrs["data-quiet"]) == (str(owner.pk), "3")
    assert not page(signed_in(make_user()), "/").all("meta", name="koda-notify")
    reader.post("/account/alerts/browser/", {"quiet_minutes": "3"})
    assert not page(reader, "/").all("meta", name="koda-notify")
    reader.post("/account/alerts/browser/", {"notifies": "on", "quiet_minutes": "soon"})
    assert not Preference.objects.of(owner).notifies


def test_both_pages_keep_the_rules_of_all_pages(reader, webhook):
    webhook.try_out()
    for path in ("/account/alerts/", f"/account/alerts/webhooks/{webhook.pk}/"):
        shown = page(reader, path)
        assert len(shown.all("h1")) == 1
        ids = [element.attrs["id"] for element in shown.all() if "id" in element.attrs]
        assert len(ids) == len(set(ids))
        for form in shown.all("form", method="post"):
            assert form.all("input", name="csrfmiddlewaretoken")
        for control in [*shown.all("input"), *shown.all("select")]:
            assert control.attrs.get("type") == "hidden" or control.parent.tag == "label" or control.attrs["aria-label"]
        for element in shown.all():
            assert "style" not in element.attrs
            assert "hx-get" not in element.attrs or element.all("a", href="/account/alerts/") or element.attrs["href"]
