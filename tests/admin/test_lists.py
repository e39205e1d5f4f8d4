"""Lists: everything can be read, and reading costs the same however much there is."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions.models import Message
from tests.admin.everything import OF_A_SESSION, RECORDS, make_everything
from tests.factories import make_message, make_session

pytestmark = pytest.mark.django_db


def list_of(record: str) -> str:
    return f"/admin/koda_sessions/{record}/"


def read(client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def first_link(page: str) -> str:
    return re.search(r'<th class="field-[a-z_]+"><a href="([^"]+)"', page)[1]


def read_queries(client, path: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        read(client, path)
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_a_list_and_a_page(staff, record):
    make_everything()
    page = read(staff, first_link(read(staff, list_of(record))))
    assert 'name="_save"' not in page
    assert "<h2>None</h2>" not in page


def test_lists_of_two_hundred_rows_ask_as_often_as_lists_of_ten(staff):
    for _ in range(10):
        make_everything()
    read(staff, list_of("session"))
    few = {record: len(read_queries(staff, list_of(record))) for record in RECORDS}
    for _ in range(190):
        make_everything()
    assert {record: len(read_queries(staff, list_of(record))) for record in RECORDS} == few


@pytest.mark.parametrize("record", RECORDS)
def test_no_list_counts_or_reads_all(staff, record):
    make_everything()
    queries = read_queries(staff, list_of(record))
    of_the_record = [sql for sql in queries if f'FROM "koda_sessions_{record}"' in sql]
    assert len(of_the_record) == 1
    assert "COUNT(" not in of_the_record[0]
    assert "LIMIT 101" in of_the_record[0]
    assert "OFFSET" not in of_the_record[0]


def test_a_list_leaves_long_texts_where_they_are(staff):
    session = make_session()
    make_message(session, content="the beginning " + "x" * 50_000 + " the end")
    page = read(staff, list_of("message"))
    assert "the beginning" in page
    assert "the end" not in page
    assert len(page) < 50_000


def test_older_pages_follow_one_another_and_miss_nothing(staff):
    session = make_session()
    rows = [Message(session=session, role="user", content="m", created_at=timezone.now()) for _ in range(250)]
    Message.objects.bulk_create(rows)
    seen, page, pages = [], read(staff, list_of("message")), 1
    while True:
        seen += [int(pk) for pk in re.findall(r"/message/(\d+)/change/", page)]
        older = re.search(r'<a href="(\?before=\d+)" rel="next">', page)
        if older is None:
            break
        page, pages = read(staff, list_of("message") + older[1]), pages + 1
    assert seen == sorted(Message.objects.values_list("pk", flat=True), reverse=True)
    assert pages == 3
    assert "Newest" in page


def test_the_place_in_a_list_is_not_carried_into_a_search(staff):
    make_everything()
    page = read(staff, f"{list_of('message')}?before=999999")
    assert 'name="before"' not in page


@pytest.mark.parametrize("before", ["abc", "1e3", "--1"])
def test_a_place_that_cannot_be_is_answered_with_the_newest_page(staff, before):
    answer = staff.get(f"{list_of('message')}?before={before}")
    assert answer.status_code == 302
    assert answer["Location"].endswith("?e=1")


@pytest.mark.parametrize(
    ("record", "query"),
    [
        ("session", "status__exact=%00"), ("session", "source=a%00b"), ("auditentry", "action=%00"),
        ("metadata", "key__exact=%00"), ("lease", "before=%00"), ("message", "created_at__year=99999"),
    ],
)  # fmt: skip
def test_a_filter_that_no_column_can_hold_finds_nothing_or_is_answered_with_the_newest_page(staff, record, query):
    """SQLite looks for a NUL, PostgreSQL refuses to; no calendar has the year."""
    make_everything()
    answer = staff.get(f"{list_of(record)}?{query}")
    assert (answer.status_code == 200 and answer.context["cl"].result_count == 0) or answer["Location"].endswith("?e=1")
    assert staff.get(f"{list_of(record)}?e=1").status_code == 200


@pytest.mark.parametrize("query", ["user/?username=%00", "user/?date_joined__year=99999", "group/?name=%00"])
def test_people_and_groups_are_asked_for_no_more_than_columns_can_hold(staff, query):
    answer = staff.get(f"/admin/auth/{query}")
    assert (answer.status_code == 200 and not answer.context["cl"].result_count) or answer["Location"].endswith("?e=1")


def test_a_key_that_no_column_can_hold_is_nobodys(staff):
    for page in ("change", "history"):
        assert staff.get(f"{list_of('lease')}%00/{page}/")["Location"] == "/admin/", page


def test_a_number_beyond_any_is_no_error(staff):
    make_everything()
    assert "look around" in read(staff, f"{list_of('message')}?before={10**30}")
    assert "look around" not in read(staff, f"{list_of('message')}?q={10**18}")
    assert "look around" not in read(staff, f"{list_of('message')}?q={'9' * 19}")


@pytest.mark.parametrize("record", OF_A_SESSION)
def test_the_records_of_a_session_are_found_by_its_id(staff, record):
    wanted, other = make_everything(title="the wanted one"), make_everything(title="another one")
    page = read(staff, f"{list_of(record)}?q={wanted.uuid}")
    assert "the wanted one" in page
    assert "another one" not in page
    assert other.uuid != wanted.uuid


@pytest.mark.parametrize("record", OF_A_SESSION)
def test_a_session_links_to_its_records_and_they_link_back(staff, record):
    session = make_everything(title="the one in the middle")
    make_everything()
    home = f"/admin/koda_sessions/session/{session.pk}/change/"
    link = f"{list_of(record)}?session__id__exact={session.pk}"
    assert link in read(staff, home)
    page = read(staff, link)
    assert home in page
    assert home in read(staff, first_link(page))


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("parser", "Fix the parser"),
        ("PARSER", "Fix the parser"),
        ("matrix:room/", "Room"),
        ("room/", None),
        ("nothing like it", None),
        ("'; --", None),
        ("%", None),
    ],
)
def test_sessions_are_found_by_title_and_by_the_beginning_of_a_key(staff, term, found):
    make_session(title="Fix the parser")
    make_session(title="Room", key="matrix:room/1")
    page = read(staff, f"{list_of('session')}?q={term}")
    names = [name for name in ("Fix the parser", "Room") if f">{name}</a>" in page]
    assert names == ([found] if found else [])


def test_a_session_is_found_by_its_id_however_it_is_written(staff):
    session = make_session(title="Fix the parser")
    make_session(title="Room")
    for text in (str(session.uuid), session.uuid.hex, f" {session.uuid} ", str(session.uuid).upper()):
        page = read(staff, f"{list_of('session')}?q={text}")
        assert ">Fix the parser</a>" in page
        assert ">Room</a>" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("needs__exact=approval", True),
        ("needs__exact=input", False),
        ("state__exact=running", True),
        ("status__exact=DELETED", False),
    ],
)
def test_sessions_are_narrowed_by_what_they_are(staff, query, found):
    make_everything(title="the one")
    assert (">the one</a>" in read(staff, f"{list_of('session')}?{query}")) is found


@pytest.mark.parametrize(
    ("record", "query", "found"),
    [
        ("message", "compacted_at__isempty=1", True),
        ("message", "compacted_at__isempty=0", False),
        ("toolcall", "outcome__isempty=1", True),
        ("toolcall", "outcome__isempty=0", False),
        ("turn", "ended_at__isempty=1", True),
        ("request", "closed_at__isempty=0", False),
        ("command", "acked_at__isempty=1", True),
        ("apikey", "revoked_at__isempty=0", False),
    ],
)
def test_records_are_narrowed_by_whether_they_have_ended(staff, record, query, found):
    make_everything()
    page = read(staff, f"{list_of(record)}?{query}")
    assert ("/change/" in page.partition('id="result_list"')[2]) is found


def test_what_agents_wrote_is_shown_as_text_and_never_as_markup(staff):
    session = make_session(title="<script>alert(1)</script>")
    pk = make_message(session, content="<script>alert(2)</script>", tool_calls=[{"id": "<img src=x>"}])
    for path in (list_of("session"), list_of("message"), f"{list_of('message')}{pk}/change/"):
        page = read(staff, path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_a_very_long_message_is_cut_and_says_so(staff):
    pk = make_message(make_session(), content="x" * 1_000_000)
    page = read(staff, f"{list_of('message')}{pk}/change/")
    assert len(page) < 200_000
    assert "900,000 more characters" in page


def test_nothing_in_the_pages_needs_what_the_policy_forbids(staff):
    make_everything()
    for record in RECORDS:
        page = read(staff, list_of(record))
        for text in (page, read(staff, first_link(page))):
            assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text), record
            assert "<style" not in text, record
            assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", text), record


def test_the_admin_wears_the_products_colours_and_names_what_is_stored(staff):
    page = read(staff, "/admin/")
    assert "Deliveries" in page
    assert "Deliverys" not in page
    for sheet in ("tokens", "admin"):
        assert re.search(rf'<link rel="stylesheet" href="/static/koda/{sheet}\b[^"]*\.css">', page), sheet
