import pytest
from tests.factories import make_events, make_message, make_session, make_user

pytestmark = pytest.mark.django_db


def test_smoke(client):
    user = make_user()
    s = make_session(user, title="T", project_root="/a/b")
    make_message(s, content="hi **x**")
    make_message(s, role="assistant", content=None, tool_calls=[{"id": "1", "name": "Edit", "arguments": {"file_path":"a.py","old_string":"a\nb","new_string":"a\nc"}}])
    make_message(s, role="tool", tool_call_id="1", content="ok")
    make_events(s, {"type":"turn_start","turn_id":"t"}, {"type":"approval_request","id":"q","tool_name":"Bash","detail":"rm -rf /","preview":None}, {"type":"text_delta","text":"hello"})
    client.force_login(user)
    r = client.get("/")
    print(r.content.decode())
    assert r.status_code == 200
    r = client.get(f"/sessions/{s.uuid}/")
    print(r.content.decode())
    assert r.status_code == 200
    r = client.get(f"/sessions/{s.uuid}/?tab=events")
    print(r.content.decode())
    c = s.tool_calls.get()
    r = client.get(f"/sessions/{s.uuid}/tools/{c.pk}/", headers={"HX-Request":"true"})
    print(r.content.decode())
    assert client.get("/nope").status_code == 404
    assert client.get("/sign-in/").status_code == 302
