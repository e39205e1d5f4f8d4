"""The storage page: what is kept, a preview, a confirmation, a purge, a receipt."""

import pytest

from sessions import compaction, retention
from sessions.models import Message, Receipt, Session
from tests.factories import make_events, make_message, make_session, make_user
from tests.retention.words import NOW, days_ago
from tests.web.conftest import signed_in
from tests.web.markup import parse

pytestmark = pytest.mark.django_db
ASKED = {"policy": "compacted", "age": "30", "source": "", "project": ""}


@pytest.fixture(autouse=True)
def _noon(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def session(owner):
    session = make_session(owner, now=days_ago(50), title="An <b>old</b> one", project_root="/srv/app")
    for number in range(3):
        make_message(session, content=f"message {number}")
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test", now=days_ago(40))
    retention.measure(seconds=9)
    return session


def page(client, query="", status=200):
    response = client.get(f"/storage/{query}")
    assert response.status_code == status
    return parse(response.content)


def preview(client, **facts):
    query = "&".join(f"{name}={value}" for name, value in {**ASKED, **facts}.items())
    return page(client, f"?{query}")


def test_whoever_is_not_signed_in_is_sent_there(client):
    for path in ("/storage/", "/storage/receipts/"):
        assert client.get(path).status_code == 302
    assert client.post("/storage/purge/", ASKED).status_code == 302


def test_the_menu_leads_there(reader):
    assert page(reader).one("a", href="/storage/").attrs["aria-current"] == "page"


def test_with_nothing_kept_it_says_so(reader):
    text = page(reader).text
    assert "Nothing is kept yet" in text
    assert "Nothing was ever purged." in text


def test_what_is_kept_by_source_and_project(reader, session):
    shown = page(reader)
    (row,) = shown.one("tbody").all("tr")
    cells = [cell.text for cell in row.elements]
    assert cells[:7] == ["laptop", "srv/app", "1", "0", "5", "3", "0"]
    assert len(shown.one("tfoot").all("tr")) == 1


def test_people_see_and_purge_only_what_is_theirs(session):
    stranger = signed_in(make_user())
    assert "srv/app" not in page(stranger).text
    assert "Nothing is archived" in preview(stranger).text
    stranger.post("/storage/purge/", {**ASKED, "confirm": "3"})
    assert Message.objects.archived().count() == 3
    staff = signed_in(make_user(is_staff=True))
    assert "srv/app" in page(staff).text
    assert "3 messages" in preview(staff).text


def test_the_size_of_the_database_is_told_to_staff_alone(reader, session):
    assert "<code>" not in reader.get("/storage/").content.decode()
    assert "<code>" in signed_in(make_user(is_staff=True)).get("/storage/").content.decode()


def test_a_preview_names_what_would_go_and_destroys_nothing(reader, session):
    shown = preview(reader)
    assert "This would destroy 3 messages of 1 session" in shown.text
    assert "An <b>old</b> one" in shown.text
    assert "Destroy 3 messages" in shown.text
    assert Message.objects.count() == 5
    assert "Nothing is archived more than 45 days ago" in preview(reader, age=45).text


def test_a_purge_leaves_a_receipt(reader, owner, session):
    response = reader.post("/storage/purge/", {**ASKED, "confirm": "3"})
    assert (response.status_code, response["Location"]) == (302, "/storage/#receipt")
    assert not Message.objects.archived().exists()
    receipt = Receipt.objects.get()
    assert (receipt.owner, receipt.by, receipt.previewed) == (owner, f"user:{owner.pk}", 3)
    shown = page(reader)
    assert "Purge of archived messages" in shown.text
    assert "archived more than 30 days ago" in shown.text
    assert shown.one("tbody").all("tr")[0].elements[5].text == "0", "measured at once"
    assert "anna" in parse(reader.get("/storage/receipts/").content).text
    assert reader.get(f"/storage/receipts/{receipt.uuid}/").status_code == 200
    assert signed_in(make_user()).get(f"/storage/receipts/{receipt.uuid}/").status_code == 404


@pytest.mark.parametrize("confirm", ["", "4", "three", "-3", "9" * 30])
def test_another_number_destroys_nothing_and_asks_again(reader, session, confirm):
    response = reader.post("/storage/purge/", {**ASKED, "confirm": confirm})
    assert response.status_code == 200
    assert Message.objects.archived().count() == 3
    shown = parse(response.content)
    assert "Destroy 3 messages" in shown.text
    assert shown.one("p", role="alert").text


def test_more_than_was_previewed_is_not_destroyed(reader, session):
    make_message(session, content="one more")
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test", now=days_ago(35))
    assert reader.post("/storage/purge/", {**ASKED, "confirm": "3"}).status_code == 200
    assert Message.objects.archived().count() == 6


@pytest.mark.parametrize(
    "facts",
    [
        {"policy": "everything"},
        {"age": "-1"},
        {"age": ""},
        {"age": "soon"},
        {"age": "99999999"},
        {"policy": "stale", "age": "0"},
        {"policy": "deleted", "include_running": "on"},
        {"source": "%00"},
    ],
)
def test_bad_input_is_told_and_destroys_nothing(reader, session, facts):
    shown = preview(reader, **facts)
    assert shown.all("p", role="alert")
    assert reader.post("/storage/purge/", {**ASKED, **facts, "confirm": "1"}).status_code == 200
    assert Message.objects.count() == 5


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"policy": "stale", "age": "24"}, "This would destroy 1 session with 5 messages"),
        ({"policy": "events", "age": "1"}, "This would destroy 1 event of 1 session"),
        ({"policy": "deleted", "age": "1"}, "Nothing is deleted more than 1 day ago"),
        ({"source": "nowhere"}, "Nothing is archived more than 30 days ago, source nowhere"),
    ],
)
def test_each_policy_is_previewed_with_its_filters(reader, session, facts, told):
    make_events(session, {"type": "text_delta", "text": "hello"}, now=days_ago(30))
    Session.objects.update(last_activity_at=days_ago(30))
    assert told in " ".join(preview(reader, **facts).text.split())


def test_what_one_click_does_not_manage_is_gone_on_with(reader, owner, session, time_machine, monkeypatch):
    from sessions.web.views import storage

    monkeypatch.setattr(storage, "PURGING_SECONDS", -1)
    response = reader.post("/storage/purge/", {**ASKED, "confirm": "3"})
    assert response["Location"].startswith("/storage/?policy=compacted&age=30")
    assert Message.objects.archived().count() == 3
    assert not Receipt.objects.exists()


def test_the_page_asks_the_same_at_any_size(reader, owner, session, django_assert_max_num_queries):
    with django_assert_max_num_queries(9):
        page(reader)
    for number in range(30):
        make_message(make_session(owner, project_root=f"/{number}", source=f"s{number}"))
    retention.measure(seconds=9)
    with django_assert_max_num_queries(9):
        page(reader)
