"""Pages go out compressed; JSON and secrets do not."""

import gzip

import pytest

from sessions.models import Webhook
from tests.factories import make_key, make_user
from tests.web.conftest import signed_in

pytestmark = pytest.mark.django_db
ACCEPTS = {"Accept-Encoding": "gzip, br"}


@pytest.fixture
def owner():
    return make_user("ada")


def test_a_page_is_compressed_for_who_accepts_it(owner):
    answer = signed_in(owner).get("/", headers=ACCEPTS)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert b"</html>" in gzip.decompress(answer.content)
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert "Content-Encoding" not in signed_in(owner).get("/").headers


def test_the_same_page_has_another_length_each_time(owner):
    reader = signed_in(owner)
    assert len({len(reader.get("/", headers=ACCEPTS).content) for _ in range(12)}) > 1


def test_what_programs_read_is_not(owner):
    key = make_key(owner).plain
    answer = signed_in(None).get("/api/v1/stats", headers={**ACCEPTS, "Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert "Content-Encoding" not in answer.headers


def test_a_page_with_a_secret_is_neither_compressed_nor_kept(owner):
    webhook = Webhook.objects.register(owner=owner, url="https://example.org/hook")
    answer = signed_in(owner).get(f"/account/alerts/webhooks/{webhook.pk}/", headers=ACCEPTS)
    assert webhook.secret in answer.text
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Content-Encoding" not in answer.headers
