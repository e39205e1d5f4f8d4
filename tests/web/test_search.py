"""The search page: hits that lead to their place, values that narrow, nothing that runs."""

import pytest

from sessions import compaction
from tests.factories import make_events, make_message, make_session, make_user
from tests.message_drafts import answering, append, asking
from tests.web.conftest import signed_in
from tests.web.markup import parse

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(owner):
    return make_session(owner, title="Library", project_root="/home/anna/engine")


def page(reader, query="", **headers):
    response = reader.get(f"/search/{query}", **headers)
    assert response.status_code == 200
    return parse(response.content)


def hits(reader, query):
    return page(reader, query).all("li", "hit")


def test_the_top_leads_there(reader):
    assert page(reader).one("a", href="/search/").text == "Search"


def test_whoever_is_not_signed_in_is_sent_there(owner):
    assert signed_in(None).get("/search/?q=a").headers["Location"] == "/sign-in/?next=/search/%3Fq%3Da"


def test_a_hit_leads_to_the_very_message(reader, session):
    pk = make_message(session, content="The zebra crosses")
    (hit,) = hits(reader, "?q=zebra")
    link = hit.one("a")
    assert link.text == "Library"
    assert link.attrs["href"] == f"/sessions/{session.uuid}/?at={pk}#message-{pk}"
    assert hit.one("mark").text == "zebra"
    assert reader.get(link.attrs["href"].partition("#")[0]).content.count(f'id="message-{pk}"'.encode()) == 1


def test_an_archived_hit_leads_to_where_it_is_shown(reader, session):
    pk = make_message(session, content="The zebra crosses")
    compaction.compact(session.pk, summary="s", preserve_count=0, by="key:1")
    (hit,) = hits(reader, "?q=zebra")
    assert "archived" in hit.text
    assert f'id="message-{pk}"' in reader.get(hit.one("a").attrs["href"].partition("#")[0]).content.decode()


def test_a_result_leads_to_its_call(reader, session):
    asked, _ = append(session, asking("c"), answering("c", "zebra")).ids
    (hit,) = hits(reader, "?q=zebra")
    call = session.tool_calls.get()
    assert hit.one("a").attrs["href"] == f"/sessions/{session.uuid}/?at={asked}#tool-{call.pk}"
    assert f'id="tool-{call.pk}"' in reader.get(hit.one("a").attrs["href"].partition("#")[0]).content.decode()


def test_a_call_of_the_log_and_a_title_lead_to_their_pages(reader, session):
    make_events(
        session,
        {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "make zebra"}},
        {"type": "tool_call_result", "id": "c", "output": "done"},
    )
    (hit,) = hits(reader, "?q=zebra")
    assert hit.one("a").attrs["href"] == f"/sessions/{session.uuid}/tools/{session.tool_calls.get().pk}/"
    (hit,) = hits(reader, "?q=library")
    assert hit.one("a").attrs["href"] == f"/sessions/{session.uuid}/"


def test_hostile_text_is_shown_and_does_nothing(reader, session):
    make_message(session, content="zebra <script>alert(1)</script> \u202e <mark>x</mark> \x1b[2J")
    content = reader.get("/search/?q=zebra%20<script>").content.decode()
    assert "<script>alert" not in content
    assert "&lt;script&gt;" in content or "&lt;<mark>script</mark>&gt;" in content
    assert "\u202e" not in content
    assert "\x1b" not in content


def test_values_narrow_and_can_be_taken_back(reader, owner, session):
    make_message(session, content="zebra here")
    make_message(make_session(owner, title="Other", agent_name="zero", project_root="/b"), content="zebra there")
    facets = page(reader, "?q=zebra").one("nav", "facets")
    links = {link.text: link.attrs["href"] for link in facets.all("a")}
    assert links["koda1"] == "/search/?q=zebra&agent=koda"
    assert links["engine1"] == "/search/?q=zebra&project=%2Fhome%2Fanna%2Fengine"
    narrowed = page(reader, "?q=zebra&agent=koda")
    assert len(narrowed.all("li", "hit")) == 1
    chosen = narrowed.one("a", **{"aria-current": "true"})
    assert chosen.attrs["href"] == "/search/?q=zebra"
    assert narrowed.one("input", name="agent").attrs["value"] == "koda"


def test_days_narrow_in_the_servers_time(reader, session, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    make_message(session, content="zebra", created_at=session.created_at.replace(2026, 3, 1, 23, 30))
    assert len(hits(reader, "?q=zebra&since=2026-03-02&until=2026-03-02")) == 1
    assert hits(reader, "?q=zebra&until=2026-03-01") == []
    assert len(hits(reader, "?q=zebra&since=never&until=2026-13-01")) == 1


def test_pages_go_on_without_script(reader, session):
    for n in range(25):
        make_message(session, content=f"zebra {n}")
    first = page(reader, "?q=zebra")
    more = next(link for link in first.all("a") if link.text == "More").attrs["href"]
    second = parse(reader.get(more).content)
    assert (len(first.all("li", "hit")), len(second.all("li", "hit"))) == (20, 5)
    assert any(link.text == "Back to the best" for link in second.all("a"))
    assert len(hits(reader, "?q=zebra&cursor=nonsense")) == 20


def test_htmx_gets_the_hits_alone(reader, session):
    make_message(session, content="zebra")
    response = reader.get("/search/?q=zebra", headers={"HX-Request": "true"})
    assert response.content.startswith(b'<div class="hits" id="hits">')
    assert "HX-Request" in response.headers["Vary"]
    assert parse(response.content).one("title").text == "zebra · Search · Koda Web"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "Find what was said"),
        ("", "-word leaves one out"),
        ("?q=nothing", "Nothing found"),
        ("?q=...", "Nothing to look for"),
        ("?q=-word", "Nothing to look for"),
        ("?q=%F0%9F%98%80", "Nothing to look for"),
        ("?q=zebra&tool=Bash", "Search everywhere"),
        ("?q=" + "a+" * 3000, "Nothing found"),
    ],
)
def test_nothing_found_says_what_to_do(reader, session, query, said):
    make_message(session, content="zebra")
    assert said in page(reader, query).one("div", "empty").text


def test_a_stranger_finds_nothing(session):
    make_message(session, content="zebra")
    assert hits(signed_in(make_user()), "?q=zebra") == []


def test_the_address_of_a_search_names_only_what_is_set(reader, session):
    def leads_to(query):
        return reader.get(f"/search/{query}", headers={"HX-Request": "true"}).headers["HX-Push-Url"]

    assert leads_to("?q=a+b&since=&until=&tool=Bash") == "/search/?q=a+b&tool=Bash"
    assert leads_to("?q=&since=2026-01-02&until=") == "/search/?since=2026-01-02"
    assert leads_to("?q=&since=&until=") == "/search/"
