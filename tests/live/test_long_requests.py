"""What a request begins with may be long: a query of ten thousand words, a key of 1,024 signs."""

import http.client
import json
from contextlib import closing

import httpx
import pytest

from tests.api.zeroclaw.calling import ROOT, at
from tests.conftest import Server

PATIENCE = 20  # seconds


@pytest.fixture(scope="module")
def client(server: Server):
    headers = {"Authorization": f"Bearer {server.create_key('long requests', 'write', 'read')}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client


def search(server: Server, client: httpx.Client, keyword: str) -> tuple[int, bytes]:
    """Ask with a longer address than httpx takes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with closing(connection):
        headers = {"Authorization": client.headers["Authorization"]}
        connection.request("GET", f"{ROOT}/sessions?keyword={keyword}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_ten_thousand_words_are_looked_for(server, client):
    client.post(at("long", "/messages"), json={"role": "user", "content": "the lamp"}).raise_for_status()
    words = "+".join([*(f"word{number}" for number in range(10_000)), "lamp"])
    status, body = search(server, client, words)
    assert status == 200
    assert [one["key"] for one in json.loads(body)["sessions"]] == ["long"]


def test_what_is_longer_still_is_answered_too(server, client):
    assert search(server, client, "w+" * 100_000)[0] == 400


@pytest.mark.parametrize("key", ["a/b", "..", ".", "a/messages", "%2F", "😀" * 1024], ids=lambda key: ascii(key)[:12])
def test_a_key_arrives_as_it_was_sent(client, key):
    client.post(at(key, "/messages"), json={"role": "user", "content": key}).raise_for_status()
    assert client.get(at(key)).raise_for_status().json()["key"] == key
    assert client.get(at(key, "/messages")).json()["messages"] == [{"role": "user", "content": key}]
    assert client.delete(at(key)).json() == {"deleted": True}
