"""The figures page: charts with their tables, filters in the address, and dashes where nothing is known."""

import pytest
import time_machine

from sessions import counting, sums
from sessions.models import TokenCounts
from sessions.templatetags.ages import DASH, span
from tests.engine_events import CALL, NOW, RESULT, START, end
from tests.factories import make_events, make_session, make_user
from tests.message_drafts import append, user
from tests.web.conftest import signed_in
from tests.web.markup import parse

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_then")]

NONE = span(0)


@pytest.fixture
def _then():
    with time_machine.travel(NOW, tick=False):
        yield


def page(reader, query="", **headers):
    response = reader.get(f"/figures/{query}", **headers)
    assert response.status_code == 200
    return parse(response.content)


def work(owner, **facts):
    session = make_session(owner, **facts)
    make_events(session, START, CALL, {**RESULT, "is_error": True}, end())
    append(session, user(usage=TokenCounts(prompt_tokens=12_345, completion_tokens=67)))
    return session


def rows_under(shown, caption):
    (table,) = [table for table in shown.all("table") if table.all("caption") and table.one("caption").text == caption]
    return [[cell.text for cell in row.elements] for row in table.one("tbody").all("tr")]


def test_the_top_leads_there(reader):
    assert page(reader).one("a", href="/figures/").attrs["aria-current"] == "page"


def test_whoever_is_not_signed_in_is_sent_there(owner):
    assert signed_in(None).get("/figures/").headers["Location"] == "/sign-in/?next=/figures/"


def test_every_chart_says_its_result_and_stands_beside_the_same_in_a_table(reader, owner):
    work(owner, agent_name="koda", project_root="/home/anna/engine")
    shown = page(reader, "?days=7")
    labels = [svg.attrs["aria-label"] for svg in shown.all("svg", "chart", role="img")]
    assert labels[0] == "Input tokens: 12,345 in all, most on 1 March"
    assert labels[5] == f"Agents worked {NONE} and waited {NONE} for a person"
    assert labels[6].startswith(f"Turn lengths: half took at most {NONE}")
    rows = rows_under(shown, "Tokens by day")
    assert rows[0] == ["1 March", "12,345", "67", DASH, DASH, DASH]
    assert rows[1] == ["28 February", *[DASH] * 5]
    assert rows_under(shown, "Tokens by agent") == [["koda", "12,345", "67", DASH, DASH, DASH]]
    assert rows_under(shown, "Tokens by project") == [["engine", "12,345", "67", DASH, DASH, DASH]]
    assert rows_under(shown, "Tool calls by tool and outcome")[0][:8] == ["Bash", "1", "0", "1", "0", "0", "0", "100.0"]


def test_kinds_of_tokens_that_nobody_told_are_unknown(reader, owner):
    session = work(owner)
    shown = page(reader, "?days=7")
    assert [small.one("b").text for small in shown.all("div", "small")] == ["12 k", "67", DASH, DASH, DASH]
    labels = [svg.attrs["aria-label"] for svg in shown.all("svg", "chart", role="img")]
    assert labels[4] == "Thinking tokens: nothing reported"
    beside = parse(reader.get(f"/sessions/{session.uuid}/").content).by_id("aside")
    assert [cell.text for cell in beside.all("td")] == ["12 k", DASH, "67"]
    append(session, user(usage=TokenCounts(prompt_tokens=1, completion_tokens=0, thinking_tokens=5)))
    shown = page(reader, "?days=7")
    assert rows_under(shown, "Tokens by day")[0] == ["1 March", "12,346", "67", DASH, DASH, "5"]
    (foot,) = (
        table.one("tfoot")
        for table in shown.all("table")
        if table.all("tfoot") and table.one("caption").text == "Tokens by day"
    )
    assert [cell.text for cell in foot.all("td")] == ["12,346", "67", DASH, DASH, "5"]


def test_figures_lead_to_what_they_count(reader, owner):
    work(owner, agent_name="ko/da", project_root="/a b")
    hrefs = {link.attrs["href"] for link in page(reader, "?days=7").all("a")}
    assert {"/figures/?days=7&agent=ko%2Fda", "/figures/?days=7&project=%2Fa+b", "/search/?tool=Bash"} <= hrefs


def test_the_filter_stands_in_the_address_and_in_the_form(reader, owner):
    work(owner, agent_name="koda")
    work(owner, agent_name="other")
    shown = page(reader, "?agent=other&days=14")
    assert rows_under(shown, "Tokens by agent")[0][0] == "other"
    chosen = {option.attrs["value"] for option in shown.by_id("filters").all("option") if "selected" in option.attrs}
    assert chosen == {"other", "14"}


@pytest.mark.parametrize("days", ["0", "-3", "9999999999", "x", ""])
def test_a_number_of_days_that_is_none_shows_the_usual(reader, days):
    assert "30 January 2026 to 1 March 2026" not in page(reader, f"?days={days}").text
    assert "31 January 2026 to 1 March 2026" in page(reader, f"?days={days}").text


def test_what_others_keep_private_is_in_no_figure(reader, owner):
    work(make_user(), agent_name="secret", project_root="/secret")
    assert "secret" not in page(reader).text
    assert "No figures yet" in page(reader).text


def test_an_empty_page_says_why(reader):
    fresh = page(reader).one("div", "empty")
    assert "nobody reported any" in fresh.text
    assert fresh.one("a").attrs["href"] == "/connect/"
    narrowed = page(reader, "?agent=nobody&days=7").one("div", "empty")
    assert narrowed.one("a").attrs["href"] == "/figures/?days=7"


def test_it_says_while_sessions_are_still_being_counted(reader, owner, monkeypatch):
    monkeypatch.setattr(sums, "READ_AT_ONCE", 1)
    work(owner)
    assert "still being counted" not in page(reader).text
    work(owner)
    assert "still being counted" in page(reader).text
    counting.count()
    assert "still being counted" not in page(reader).text


def test_the_time_waited_is_of_settled_requests_as_in_the_api(reader, owner):
    work(owner)
    (waited,) = [part for part in page(reader).all("div") if part.text.startswith("Waited for a person")]
    assert waited.text.endswith("for answers to requests that are settled")


def test_sessions_without_tokens_have_a_dash_and_no_chart_of_them(reader, owner):
    make_events(make_session(owner), START)
    shown = page(reader)
    assert shown.all("dd", title="nothing reported")[0].text.startswith(DASH)
    assert not shown.all("div", "smalls")
    assert "No turn of these days has ended." in shown.text


def test_names_that_agents_chose_are_only_text(reader, owner):
    session = work(owner, agent_name="<script>alert(1)</script>", project_root='/w/"><img src=x onerror=alert(1)>')
    make_events(session, START, {**CALL, "id": "2", "name": "</a><svg onload=alert(1)>"})
    shown = page(reader)
    assert not [element for element in shown.all() if {"onerror", "onload"} & set(element.attrs)]
    assert not [script for script in shown.all("script") if script.text]


def test_a_year_is_as_light_as_a_week(reader, owner):
    work(owner)
    assert len(page(reader, "?days=365").one("div", "smalls").all("title")) == 5 * 53
    assert len(reader.get("/figures/?days=365").content) < 150_000


def test_the_page_asks_as_many_questions_of_many_as_of_one(reader, owner, django_assert_max_num_queries):
    for number in range(4):
        work(owner, agent_name=str(number))
    counting.count(seconds=9)
    with django_assert_max_num_queries(12):  # who reads: 2; the figures: 8; the filter's values: 1; what waits: 1
        page(reader)
    for number in range(4):
        work(owner, agent_name=f"later {number}")
    with django_assert_max_num_queries(20):  # and 8 more for what is not counted yet
        page(reader)


@pytest.mark.parametrize(
    ("configured", "shown"), [({}, f"{DASH}not configured"), ({"Bash": 30.0}, "0 sby successful calls")]
)
def test_time_saved_is_shown_where_it_is_configured_and_unknown_otherwise(reader, owner, settings, configured, shown):
    settings.KODA_TIME_SAVED_PER_CALL = configured
    work(owner)
    totals = page(reader).one("dl", "totals").elements
    (saved,) = [one.one("dd") for one in totals if one.one("dt").text == "Time saved"]

    assert saved.text == shown
