"""The log of a session as a page: in order, both ways, payloads on demand."""

from tests.factories import make_events, make_session
from tests.web.markup import parse


def path(session, rest=""):
    return f"/sessions/{session.uuid}/{rest}"


def get(client, url, **headers):
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    return parse(response.content)


def seqs(shown):
    return [int(item.attrs["data-seq"]) for item in shown.all("li", "event")]


def test_the_log_reads_in_order_with_the_servers_own_events_told_apart(owner, reader):
    session = make_session(owner)
    make_events(session, {"type": "info", "message": "a"}, {"type": "warn", "message": "b"})
    shown = get(reader, path(session, "?tab=events"))
    assert seqs(shown) == [1, 2, 3]
    first, second, _ = shown.all("li", "event")
    assert (first.one("b").text, first.attrs.get("data-from")) == ("server.session_created", "server")
    assert (second.one("b").text, second.attrs.get("data-from")) == ("info", None)
    assert "message a" in second.one("summary").text


def test_it_opens_at_the_newest_end_and_walks_back_without_gaps(owner, reader):
    session = make_session(owner)
    make_events(session, *({"type": "info", "message": str(n)} for n in range(450)))
    shown = get(reader, path(session, "?tab=events"))
    seen = seqs(shown)
    assert seen == list(range(252, 452))
    while older := shown.all(id="older"):
        shown = get(reader, older[0].one("a").attrs["hx-get"], HX_Request="true")
        seen = seqs(shown) + seen
    assert seen == list(range(1, 452))


def test_older_events_have_a_plain_link(owner, reader):
    session = make_session(owner)
    make_events(session, *({"type": "info", "message": str(n)} for n in range(250)))
    link = get(reader, path(session, "?tab=events")).by_id("older").one("a")
    plain = get(reader, link.attrs["href"])
    assert seqs(plain) == list(range(1, 52))
    assert plain.by_id("newer")
    response = reader.get(link.attrs["hx-get"])
    assert response.status_code == 302
    assert "tab=events" in response.headers["Location"]


def test_a_payload_opens_on_demand(owner, reader):
    session = make_session(owner)
    make_events(session, {"type": "info", "message": "x" * 50_000, "event_id": "e-1"})
    shown = get(reader, path(session, "?tab=events"))
    inside = shown.by_id("event-2").one("div", "inside")
    assert inside.attrs["hx-get"] == inside.one("a").attrs["href"]
    part = get(reader, inside.attrs["hx-get"], HX_Request="true")
    assert part.text.startswith('event_id e-1{ "message": "xxx')
    assert len(part.text) < 17_000
    assert get(reader, inside.attrs["hx-get"]).one("h1").text == "info"
