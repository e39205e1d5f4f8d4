"""Errors: the client classifies by words in the message, so each has the word of its kind and of no other (1.12)."""

import json
import uuid

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client

from sessions.api.stakpak.envelope import envelope
from sessions.exceptions import (
    Conflict,
    Forbidden,
    InvalidRequest,
    KodaError,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from sessions.models import Session
from tests.api.stakpak.calling import Storage, storage_of, user
from tests.api.stakpak.rust import StorageError, read_answer, storage_error

pytestmark = pytest.mark.django_db


def failure(storage: Storage, method: str, path: str, body=None, **more) -> StorageError:
    with pytest.raises(StorageError) as caught:
        storage.send(method, path, body, **more)
    error = json.loads(storage.raw)["error"]
    assert set(error) == {"key", "message"}
    assert storage.headers.get("Location") is None
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (NotFound("No such session."), "NotFound", 404),
        (InvalidRequest.field("title", "is required"), "InvalidRequest", 400),
        (InvalidRequest("The body is not JSON."), "InvalidRequest", 400),
        (Unauthorized("This key is unknown, expired or revoked."), "Unauthorized", 401),
        (Forbidden("read only"), "Unauthorized", 403),
        (RateLimited("More than 14,013 requests in a minute.", retry_after_seconds=3), "RateLimited", 429),
        (KodaError("Internal error of the server; its log has the reason."), "Internal", 500),
        (Unavailable("The database does not answer now. Try again."), "Internal", 503),
        (TooLarge("The body is over the limit of this server (KODA_MAX_BODY)."), "Internal", 413),
        (Conflict("This Idempotency-Key was used for another request."), "Internal", 409),
    ],
)
def test_each_error_of_ours_is_the_storage_error_that_it_should_be(error, kind, status):
    response = envelope(error)

    with pytest.raises(StorageError) as caught:
        read_answer(response.status_code, "", response.content, None)
    assert (caught.value.kind, response.status_code) == (kind, status)


MISLEADING = "Session 8f400a01-4290-4011-a429-0e1d40140029 not found, unauthorized, rate limit, invalid"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (NotFound, "NotFound"),
        (InvalidRequest, "InvalidRequest"),
        (lambda detail: InvalidRequest.field("title", detail), "InvalidRequest"),
        (Unauthorized, "Unauthorized"),
        (Forbidden, "Unauthorized"),
        (lambda detail: RateLimited(detail, retry_after_seconds=1), "RateLimited"),
        (KodaError, "Internal"),
        (TooLarge, "Internal"),
        (Conflict, "Internal"),
        (Unavailable, "Internal"),
    ],
)
def test_no_detail_can_turn_one_kind_into_another(make, kind):
    message = json.loads(envelope(make(MISLEADING)).content)["error"]["message"]

    assert storage_error(message).kind == kind
    assert "8f400a01" not in message


def test_a_client_that_cannot_connect_or_has_no_key_never_asks():
    """The sixth kind, Connection, is made by the client alone; a network failure becomes Internal by reqwest's text."""
    assert storage_error("error sending request for url (http://127.0.0.1:8814/v1/sessions)").kind == "Internal"


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/sessions/a/b/c", "/chat/completions", "/models", "/admin/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unknown_path_is_not_found(storage, path, method):
    assert failure(storage, method, path).kind == "NotFound"
    assert storage.status == 404


def test_what_the_client_asks_of_the_second_version_is_not_found_and_no_page(storage):
    storage.root = "/v2"

    assert failure(storage, "GET", "/ada/billing").kind == "NotFound"


@pytest.mark.parametrize(("method", "path"), [("PUT", "/sessions"), ("DELETE", "/account"), ("POST", "/rules")])
def test_a_wrong_method_is_an_invalid_request(storage, method, path):
    assert failure(storage, method, path).kind == "InvalidRequest"
    assert storage.status == 405
    assert storage.headers["Allow"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer stkpk_api_nobody"}, {"Authorization": "Basic eDp5"}])
def test_whom_we_do_not_know_is_unauthorized(header):
    response = Client().get("/v1/account", headers=header)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    with pytest.raises(StorageError) as caught:
        read_answer(401, "Unauthorized", response.content, None)
    assert caught.value.kind == "Unauthorized"


def test_too_many_requests_are_rate_limited(storage, settings):
    settings.KODA_RATE_LIMIT = 2
    cache.clear()
    storage.list_sessions()
    storage.list_sessions()

    assert failure(storage, "GET", "/sessions").kind == "RateLimited"
    assert storage.status == 429
    assert int(storage.headers["Retry-After"]) >= 1


def test_a_body_over_the_limit_says_so_and_leaves_nothing(storage, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    error = failure(storage, "POST", "/sessions", {"title": "x" * 2000})

    assert (error.kind, storage.status) == ("Internal", 413)
    assert "limit" in error.message
    assert not Session.objects.exists()


def test_one_message_over_the_limit_of_a_content_leaves_nothing(storage, settings):
    settings.KODA_MAX_CONTENT = 100
    error = failure(storage, "POST", "/sessions", {"title": "x", "state": {"messages": [user("y" * 500)]}})

    assert (error.kind, storage.status) == ("Internal", 413)
    assert not Session.objects.exists()


def test_a_fault_of_ours_is_internal_and_tells_nothing(storage, monkeypatch):
    def burst(*_args, **_more):
        raise RuntimeError("401 not found invalid")

    monkeypatch.setattr("sessions.api.stakpak.routers.sessions.shown", burst)
    made = storage.create_session()

    error = failure(storage, "GET", f"/sessions/{made['session_id']}")
    assert (error.kind, storage.status) == ("Internal", 500)
    assert "401" not in error.message


def test_a_database_that_does_not_answer_is_worth_another_try(storage, monkeypatch):
    def lock(*_args, **_more):
        raise OperationalError("database is locked")

    made = storage.create_session()
    monkeypatch.setattr("sessions.api.stakpak.routers.sessions.shown", lock)

    assert failure(storage, "GET", f"/sessions/{made['session_id']}").kind == "Internal"
    assert storage.status == 503
    assert storage.headers["Retry-After"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": None},
        {"title": 7},
        {"title": "t", "state": []},
        {"title": "t", "state": "text"},
        {"title": "t", "state": None},
        {"title": "t", "state": {"messages": None}},
        {"title": "t", "state": {"messages": {}}},
        {"title": "t", "state": {"messages": ["words"]}},
        {"title": "t", "state": {"messages": [None]}},
        {"title": "t", "visibility": "private"},
        {"title": "t", "visibility": "HIDDEN-401"},
        {"title": "t", "cwd": 5},
        {"title": "t", "cwd": "/" + "x" * 3000},
        [],
        "text",
        None,
    ],
)
def test_a_body_that_cannot_be_is_an_invalid_request_and_makes_nothing(storage, body):
    assert failure(storage, "POST", "/sessions", body).kind == "InvalidRequest"
    assert storage.status == 400
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    "raw", [b"{", b"\xff\xfe", b'{"title": NaN}', b"[" * 5000, b'{"title": "' + b"4" * 401 + b'", }', b""]
)
def test_what_is_no_json_is_an_invalid_request(storage, raw):
    assert failure(storage, "POST", "/sessions", raw=raw).kind == "InvalidRequest"
    assert storage.status == 400


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=many", "offset=-1", "offset=9999999999", "status=GONE", "visibility=x"]
)
def test_a_query_that_cannot_be_is_an_invalid_request(storage, query):
    assert failure(storage, "GET", f"/sessions?{query}").kind == "InvalidRequest"


@pytest.mark.parametrize("parent", [str(uuid.UUID(int=0x400401429)), "no-uuid-401", 7])
def test_an_unknown_parent_is_an_invalid_request_that_does_not_repeat_it(storage, parent):
    made = storage.create_session()["session_id"]
    error = failure(storage, "POST", f"/sessions/{made}/checkpoints", {"state": {"messages": []}, "parent_id": parent})

    assert (error.kind, storage.status) == ("InvalidRequest", 400)
    assert "400401429" not in error.message
    assert Session.objects.get(uuid=made).checkpoints.count() == 1


def test_a_parent_of_another_session_is_an_invalid_request(storage, owner):
    foreign = storage_of(owner).create_session()["checkpoint"]["id"]
    made = storage.create_session()["session_id"]
    error = failure(storage, "POST", f"/sessions/{made}/checkpoints", {"state": {"messages": []}, "parent_id": foreign})

    assert error.message == "invalid parent_id: not a checkpoint of this session"


def test_a_body_of_another_type_is_an_invalid_request(storage):
    response = storage.client.post("/v1/sessions", {"title": "x"}, headers={"Authorization": f"Bearer {storage.plain}"})

    assert response.status_code == 415
    assert storage_error(response.json()["error"]["message"]).kind == "InvalidRequest"


@pytest.mark.parametrize("root", ["//v1", "/v1/", "///v1//", "/v1"])
def test_doubled_slashes_are_read_as_one(storage, root):
    storage.root = root
    made = storage.create_session("Slashes", [user("a")])["session_id"]

    assert storage.get_session(made)["title"] == "Slashes"
    assert storage.send("GET", "//sessions//", read=None) is None


def test_a_foreign_host_name_gets_no_page(storage):
    response = storage.client.get("/v1/account", headers={"Host": "elsewhere.example", "Authorization": "Bearer x"})

    assert response.status_code == 400
    assert storage_error(response.json()["error"]["message"]).kind == "InvalidRequest"
