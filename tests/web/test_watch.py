"""What the server concluded, on the pages: an incident on the wall, loops, findings, and the button that releases."""

from datetime import timedelta

import pytest

from sessions import liveness
from sessions.models import Session
from tests.factories import make_events, make_session, make_user
from tests.web.markup import parse

pytestmark = pytest.mark.django_db
TURN = {"type": "turn_start", "turn_id": "t"}
CALL = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "make"}}


@pytest.fixture
def owner(client):
    user = make_user("ada")
    client.force_login(user)
    return user


def page(client, session=None) -> str:
    return client.get(f"/sessions/{session.uuid}/" if session else "/").content.decode()


def go_adrift(time_machine, *sessions):
    time_machine.move_to("2026-03-01T14:02:00Z", tick=False)
    for session in sessions:
        make_events(session, TURN, CALL)
    time_machine.shift(timedelta(seconds=300))
    liveness.watch()


def test_a_silent_source_is_one_line_of_the_wall(client, owner, time_machine):
    go_adrift(time_machine, *(make_session(owner) for _ in range(3)))
    text = page(client)
    assert text.count('class="note" data-state="lost"') == 1
    assert "silent since <time" in text
    assert "14:02</time>, for" in text
    assert ": 3 of its 3 running sessions" in text
    assert '?source=laptop">laptop</a>' in text


def test_two_that_hang_are_no_incident(client, owner, time_machine):
    go_adrift(time_machine, *(make_session(owner) for _ in range(2)))
    assert "silent since" not in page(client)


def test_a_loop_stands_in_the_row_and_in_the_verdict(client, owner):
    session = make_session(owner)
    make_events(session, TURN, *(CALL | {"id": f"c{n}"} for n in range(9)))
    flag = '<b class="loop">same call \N{MULTIPLICATION SIGN}9</b>'
    assert flag in page(client)
    assert flag in page(client, session)


def test_findings_lead_to_their_evidence(client, owner):
    session = make_session(owner)
    make_events(session, TURN, CALL, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    text = page(client, session)
    call = session.tool_calls.get()
    assert "1 finding in its records" in text
    assert "Bash make has no result: the turn ended first." in text
    for path in (f"/sessions/{session.uuid}/events/3/", f"/sessions/{session.uuid}/tools/{call.pk}/"):
        assert f'href="{path}"' in text
        assert client.get(path).status_code == 200
    assert "finding" not in page(client, make_session(owner))


def test_the_button_releases_what_is_adrift(client, owner, time_machine):
    session = make_session(owner)
    go_adrift(time_machine, session)
    path = f"/sessions/{session.uuid}/release/"
    assert f'action="{path}"' in page(client, session)
    answer = client.post(path, follow=True)
    assert "Released. Its open turn ended as abandoned." in answer.content.decode()
    assert Session.objects.get(pk=session.pk).state == "idle"
    assert session.events.get(type="server.turn_abandoned").payload["by"] == f"user:{owner.pk}"
    assert f'action="{path}"' not in page(client, session)
    assert "does not run" in client.post(path, follow=True).content.decode()


def test_the_button_leads_back_to_the_tab_also_when_it_came_later(client, owner, time_machine):
    session = make_session(owner)
    timeline = f"/sessions/{session.uuid}/?tab=timeline&sort=slowest"
    part = f"/sessions/{session.uuid}/glance/?tab=timeline"
    go_adrift(time_machine, session)
    current = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{timeline}"}
    for answer in (client.get(timeline), client.get(part, headers=current)):
        form = parse(answer.content).one("form", action=f"/sessions/{session.uuid}/release/")
        back = form.one("input", name="next").attrs["value"]
        assert client.post(form.attrs["action"], {"next": back})["Location"] == timeline


def test_only_who_may_change_a_session_releases_it(client, owner):
    session = make_session(make_user(), visibility="PUBLIC")
    make_events(session, TURN)
    assert client.post(f"/sessions/{session.uuid}/release/").status_code == 403
    assert client.get(f"/sessions/{make_session(owner).uuid}/release/").status_code == 405
    assert Session.objects.get(pk=session.pk).state == "running"
