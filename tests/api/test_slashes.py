"""An endpoint that ends with a slash, joined with a path as it is."""

import pytest

from sessions.models import Metadata
from tests.api.calling import agent_of
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db
HERE = "http://testserver"  # Django's test client would take what follows two slashes for a host


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_it_reaches_every_door_for_programs(slashes):
    owner = make_user()
    agent, session = agent_of(owner), make_session(owner)
    root = f"{HERE}{slashes}"
    said = {"role": "user", "content": "hello"}
    assert agent.client.post(f"{root}api/v1/sessions/{session.uuid}/messages").status_code == 401
    for path in (f"api/v1/sessions/{session.uuid}/messages", "api/zeroclaw/sessions/a%2F%2Fb/messages"):
        sent = agent.client.post(f"{root}{path}", said, content_type="application/json", headers=agent.headers)
        assert sent.status_code == 201, sent.content
    assert agent.client.get(f"{root}healthz").status_code == 200
    unknown = agent.client.post(f"{root}api/v1/nothing")
    assert (unknown.status_code, unknown["Content-Type"]) == (404, "application/problem+json")


def test_a_slash_within_a_path_is_what_it_is():
    owner = make_user()
    agent, session = agent_of(owner), make_session(owner)
    path = f"{HERE}//api/v1/sessions/{session.uuid}/metadata/a%2F%2Fb"
    put = agent.client.put(path, {"value": "yes"}, content_type="application/json", headers=agent.headers)
    assert put.status_code == 200, put.content
    assert Metadata.objects.get().key == "a//b"


def test_pages_keep_to_their_addresses(client):
    for path in ("//sessions/", "//apis", "///"):
        assert client.get(f"{HERE}{path}").status_code in {302, 404}
