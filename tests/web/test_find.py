"""Finding within a session: what is looked for stands in the address of the page."""

import pytest

from tests.factories import make_message, make_session
from tests.web.markup import parse

pytestmark = pytest.mark.django_db


def find(reader, session, words, *, on=""):
    """Look for words as the field of a page does; return the answer."""
    page = f"http://testserver/sessions/{session.uuid}/{on}"
    path = f"/sessions/{session.uuid}/find/"
    return reader.get(path, {"find": words}, headers={"HX-Request": "true", "HX-Current-URL": page})


@pytest.mark.parametrize(
    ("on", "words", "then"),
    [
        ("", "a b&c", "?find=a+b%26c"),
        ("?tab=events", "é", "?tab=events&find=%C3%A9"),
        ("?find=old&tab=usage", "new", "?tab=usage&find=new"),
        ("?at=5&find=old#message-5", "new", "?find=new"),
        ("?at=5&find=old#message-5", "", "?at=5#message-5"),
        ("?archived=1&find=old", "", "?archived=1"),
        ("checkpoints/", "x", "checkpoints/?find=x"),
    ],
)
def test_what_is_looked_for_stands_in_the_address(owner, reader, on, words, then):
    session = make_session(owner)
    assert find(reader, session, words, on=on).headers["HX-Replace-Url"] == f"/sessions/{session.uuid}/{then}"


def test_the_address_alone_finds_it_again_and_closing_stays_on_the_tab(owner, reader):
    session = make_session(owner)
    make_message(session, content="the needle")
    answer = find(reader, session, "needle", on="?tab=events")
    again = parse(reader.get(answer.headers["HX-Replace-Url"]).content)
    for shown in (parse(answer.content), again):
        assert len(shown.by_id("found").all("li", "hit")) == 1
        assert shown.by_id("found").all("a")[0].attrs["href"] == f"/sessions/{session.uuid}/?tab=events"
    assert again.by_id("q").attrs["value"] == "needle"
    assert again.by_id("tab-events").attrs["aria-current"] == "page"


def test_who_names_no_page_of_ours_gets_the_list_alone(owner, reader):
    session = make_session(owner)
    for page in ("", "https://evil.example/", "http://["):
        headers = {"HX-Request": "true", "HX-Current-URL": page}
        answer = reader.get(f"/sessions/{session.uuid}/find/?find=x", headers=headers)
        assert "HX-Replace-Url" not in answer.headers
        assert parse(answer.content).one("a").attrs["href"] == f"/sessions/{session.uuid}/"
