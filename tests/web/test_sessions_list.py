"""The long list: what it shows in which order, page by page, and what it costs."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import liveness
from sessions.models import Session
from sessions.models.keyset import Keyset
from sessions.web.forms import SORTS, FilterForm
from tests.factories import make_events, make_message, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse


def listing(client, query="", **headers):
    response = client.get(f"/sessions/{query}", headers=headers)
    assert response.status_code == 200
    return parse(response.content)


def titles(page):
    return [link.text for link in page.by_id("list").all("a", "title")]


@pytest.fixture
def five(owner):
    now = timezone.now()
    for days, title in enumerate("edcba"):
        at = now - timedelta(days=days)
        make_session(owner, title=title, created_at=at)
    return owner


def test_whoever_is_not_signed_in_is_sent_to_sign_in(client, db):
    assert client.get("/sessions/?q=x").headers["Location"] == "/sign-in/?next=/sessions/%3Fq%3Dx"


def test_it_holds_own_and_public_sessions_and_no_deleted_ones(owner, reader):
    make_session(owner, title="mine")
    make_session(owner, title="gone").remove(by="user:1")
    make_session(title="others")
    make_session(title="public", visibility="PUBLIC")
    page = listing(reader)
    assert set(titles(page)) == {"mine", "public"}
    assert page.by_id("list-head").text == "All 2"
    ticks = {box.attrs["aria-label"]: "disabled" in box.attrs for box in page.all("input", "pick")}
    assert ticks == {"Tick mine": False, "Tick public": True}
    assert set(titles(listing(signed_in(make_user(is_staff=True))))) == {"mine", "others", "public"}


@pytest.mark.parametrize(
    ("sort", "order"),
    [("", "edcba"), ("quiet", "abcde"), ("born", "edcba"), ("old", "abcde"), ("nonsense", "edcba")],
)
def test_the_orders(five, reader, sort, order):
    assert "".join(titles(listing(reader, f"?sort={sort}"))) == order


def test_pages_go_both_ways_and_keep_the_filter(five, reader, monkeypatch):
    monkeypatch.setattr("sessions.web.views.listing.ROWS", 2)
    first = listing(reader, "?agent=koda&sort=old")
    assert titles(first) == ["a", "b"]
    assert not first.all("a", rel="prev")
    second = listing(reader, first.one("a", rel="next").attrs["href"])
    assert titles(second) == ["c", "d"]
    assert second.by_id("list-head").text == "Matching 5"
    assert titles(listing(reader, second.one("a", rel="prev").attrs["href"])) == ["a", "b"]
    last = next(link for link in first.all("a", "button") if link.text == "Last")
    assert titles(listing(reader, last.attrs["href"])) == ["d", "e"]


def test_the_filters(owner, reader):
    long_ago = timezone.now() - timedelta(days=3)
    make_events(
        make_session(owner, title="stuck", agent_name="zeroclaw"), {"type": "turn_start", "turn_id": "t"}, now=long_ago
    )
    liveness.watch()
    make_events(make_session(owner, title="runs", source="ops"), {"type": "turn_start", "turn_id": "t"})
    make_session(owner, title="rests", project_root="/srv/shop", created_at=long_ago)
    day = f"{timezone.localtime(long_ago):%Y-%m-%d}"
    for query, found in {
        "?q=RUN": {"runs"},
        "?agent=zeroclaw": {"stuck"},
        "?source=ops": {"runs"},
        "?project=/srv/shop": {"rests"},
        "?state=running": {"runs"},
        "?liveness=stuck": {"stuck"},
        "?liveness=resting": {"rests"},
        f"?since={day}&until={day}&liveness=resting": {"rests"},
        "?until=2020-01-01": set(),
        "?since=nonsense&liveness=nonsense": {"stuck", "runs", "rests"},
    }.items():
        assert set(titles(listing(reader, query))) == found, query


@pytest.mark.parametrize("page", ["/", "/sessions/"])
def test_a_value_that_the_bar_offers_finds_its_sessions_with_the_spaces_around_it(owner, reader, page):
    session = make_session(owner, agent_name=" koda ", project_root="/srv/shop ", source="ops ")
    shown = parse(reader.get(page).content)
    for name in ("agent", "project", "source"):
        offered = shown.one("select", name=name).all("option")[-1].attrs["value"]
        found = parse(reader.get(page, {name: offered}).content)
        assert found.by_id(f"session-{session.pk}"), name


@pytest.mark.parametrize("page", ["/", "/sessions/"])
def test_the_bar_takes_no_longer_text_than_it_looks_for(reader, page):
    longest = FilterForm.base_fields["q"].max_length
    assert parse(reader.get(page).content).by_id("q").attrs["maxlength"] == str(longest)


def test_the_bar_shows_what_is_set(owner, reader):
    make_session(owner)
    page = listing(reader, "?agent=koda&liveness=resting&since=2020-01-01&sort=old")
    chosen = {
        select.attrs["name"]: option.attrs["value"]
        for select in page.by_id("filters").all("select")
        for option in select.all("option")
        if "selected" in option.attrs
    }
    assert chosen == {"agent": "koda", "liveness": "resting", "sort": "old"}
    assert page.by_id("filters").one("input", name="since").attrs["value"] == "2020-01-01"


def test_empty_lists_say_why(owner, reader):
    assert "No session yet" in listing(reader).one("div", "empty").text
    assert "lantern finds nothing" in listing(reader, "?q=lantern").one("div", "empty").text


def test_htmx_gets_the_list_alone(owner, reader):
    make_session(owner)
    assert [element.attrs["id"] for element in listing(reader, **{"HX-Request": "true"}).elements] == ["list"]


def test_its_queries_do_not_grow_with_the_sessions(owner, reader):
    def fill(count):
        for _ in range(count):
            make_events(make_session(owner), {"type": "turn_start", "turn_id": "t"})
            make_message(make_session(owner), role="assistant", content="done")

    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            listing(reader, "?agent=koda")
        return len(queries)

    fill(1)
    few = count_queries()
    fill(8)
    assert count_queries() == few
    assert few <= 7, "session, user, rows, their requests, the count, facets, the inbox"


@pytest.mark.parametrize("order", {order for _, order in SORTS.values()})
@pytest.mark.parametrize("where", ["after", "before"])
def test_a_page_far_down_begins_at_an_index(db, order, where):
    session = make_session()
    keyset = Keyset(Session, order)
    staff = make_user(is_staff=True)
    with CaptureQueriesContext(connection) as queries:
        rows = Session.objects.visible_to(staff).active()
        keyset.leaf(rows, limit=50, **{where: keyset.mark(session)})
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {queries[-1]['sql']}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert re.search(r"USING INDEX session_(recent|born) \(status=\? AND \w+[<>]", plan), plan
        assert "TEMP B-TREE" not in plan
