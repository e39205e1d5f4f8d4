"""Done but unseen: the mark on the wall, and who clears it by looking."""

import pytest

from tests.factories import make_events, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse


@pytest.fixture
def done(owner):
    session = make_session(owner, visibility="PUBLIC", title="Tidy")
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    return session


def has_mark(session, reader) -> bool:
    row = parse(reader.get("/").content).by_id(f"session-{session.pk}")
    assert ("done, not opened yet" in row.text) == ("data-done" in row.attrs)
    return "data-done" in row.attrs


def test_the_owner_clears_the_mark_by_opening_the_session(reader, done):
    assert has_mark(done, reader)
    reader.get(f"/sessions/{done.uuid}/")
    assert not has_mark(done, reader)


def test_staff_see_the_mark_and_do_not_clear_it_and_others_do_not_see_it(reader, done):
    staff, other = signed_in(make_user(is_staff=True)), signed_in(make_user())
    for looking in (staff, other, signed_in(None)):
        assert looking.get(f"/sessions/{done.uuid}/").status_code == 200
    assert has_mark(done, staff)
    assert not has_mark(done, other)
    assert has_mark(done, reader)


def test_a_browser_that_only_fetches_ahead_has_not_looked(reader, done):
    reader.get(f"/sessions/{done.uuid}/", headers={"Sec-Purpose": "prefetch;prerender"})
    assert has_mark(done, reader)


def test_a_second_look_costs_no_write(reader, done):
    path = f"/sessions/{done.uuid}/"
    reader.get(path)
    done.refresh_from_db()
    before = done.last_seq
    reader.get(path)
    done.refresh_from_db()
    assert done.last_seq == before


def test_a_page_on_which_the_turn_ends_says_where_to_tell_that_it_was_seen(reader, owner, done):
    staff = signed_in(make_user(is_staff=True))
    mark = parse(staff.get(f"/sessions/{done.uuid}/").content).by_id("just-done")
    assert mark.attrs["data-seen"] == f"/sessions/{done.uuid}/seen/"
    assert staff.post(mark.attrs["data-seen"]).status_code == 204
    assert has_mark(done, reader)
    assert signed_in(make_user()).post(mark.attrs["data-seen"]).status_code == 403
    assert reader.get(mark.attrs["data-seen"]).status_code == 405
    assert reader.post(mark.attrs["data-seen"]).status_code == 204
    assert not has_mark(done, reader)
