"""Who may do what at every path and every socket; a path without a row here fails, whoever adds it.

The rows of the API's operations stand beside them (`CONTRACTS`): each contract has other callers.
"""

from collections.abc import Iterator

import pytest
from channels.routing import URLRouter
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from sessions.live.hub import GONE, MAY_NOT_SEE, SIGN_IN
from sessions.live.routing import websocket
from sessions.models import ApiKey, Message, Metadata, Receipt, Request, Session, ToolCall, Webhook
from tests.admin.everything import make_everything
from tests.api import test_permissions as native
from tests.api.stakpak import test_permissions as stakpak
from tests.api.test_permissions import see_store
from tests.api.zeroclaw import test_permissions as zeroclaw
from tests.factories import make_key, make_user
from tests.live.sockets import in_db, page, program, sign_in

CONTRACTS = {"api-native": native, "api-stakpak": stakpak, "api-zeroclaw": zeroclaw}
"""The URL namespace of each contract, and the tests that hold a row for each of its operations."""

YES, NO, ABSENT, DOOR = "yes", 403, 404, "sign in"
ANYBODY = {"nobody": YES, "stranger": YES, "owner": YES, "staff": YES}
PEOPLE = {**ANYBODY, "nobody": DOOR}
READ = {**PEOPLE, "stranger": ABSENT}
"""A private session: its owner's and staff's."""
CHANGE = READ
OWN = {**READ, "staff": ABSENT}
"""What not even staff may touch: where somebody's alerts are sent."""

Row = tuple[str, dict[str, str], dict]
PAGES: dict[str, Row] = {
    "web:wall": ("GET", {}, PEOPLE),
    "web:inbox": ("GET", {}, PEOPLE),
    "web:inbox-count": ("GET", {}, ANYBODY),
    "web:search": ("GET", {}, PEOPLE),
    "web:figures": ("GET", {}, PEOPLE),
    "web:storage": ("GET", {}, PEOPLE),
    "web:purge": ("POST", {}, PEOPLE),
    "web:receipts": ("GET", {}, PEOPLE),
    "web:receipt": ("GET", {}, dict(READ)),
    "web:sessions": ("GET", {}, PEOPLE),
    "web:bulk": ("POST", {"action": "delete"}, PEOPLE),
    "web:connect": ("GET", {}, PEOPLE),
    "web:signal": ("GET", {}, OWN),
    "web:revoke": ("POST", {}, OWN),
    "web:styleguide": ("GET", {}, {"nobody": DOOR, "stranger": NO, "owner": NO, "staff": YES}),
    "web:sign-in": ("GET", {}, ANYBODY),
    "web:sign-out": ("POST", {}, {**ANYBODY, "nobody": DOOR, "stranger": DOOR, "owner": DOOR, "staff": DOOR}),
    "web:appearance": ("POST", {"theme": "dark", "density": "compact", "next": "/search/"}, ANYBODY),
    "web:account": ("GET", {}, PEOPLE),
    "web:password": ("GET", {}, PEOPLE),
    "web:sign-out-others": ("POST", {}, PEOPLE),
    "web:alerts": ("GET", {}, PEOPLE),
    "web:notifications": ("POST", {}, PEOPLE),
    "web:webhook": ("GET", {}, OWN),
    "web:try-webhook": ("POST", {}, OWN),
    "web:renew-secret": ("POST", {}, OWN),
    "web:remove-webhook": ("POST", {}, OWN),
    "web:session": ("GET", {}, READ),
    "web:glance": ("GET", {}, READ),
    "web:find": ("GET", {"find": "x"}, READ),
    "web:export": ("GET", {}, READ),
    "web:compact": ("POST", {"keep": "0", "summary": "x"}, CHANGE),
    "web:checkpoints": ("GET", {}, READ),
    "web:fork": ("POST", {}, CHANGE),
    "web:fork-session": ("POST", {}, CHANGE),
    "web:value": ("GET", {}, READ),
    "web:seen": ("POST", {}, READ),
    "web:edit": ("POST", {"title": "New"}, CHANGE),
    "web:release": ("POST", {}, CHANGE),
    "web:delete": ("POST", {}, CHANGE),
    "web:answer": ("POST", {"action": "approve"}, CHANGE),
    "web:tell": ("POST", {"action": "interrupt"}, CHANGE),
    "web:messages": ("GET", {}, READ),
    "web:message": ("GET", {}, READ),
    "web:tool": ("GET", {}, READ),
    "web:events": ("GET", {}, READ),
    "web:event": ("GET", {}, READ),
    "healthz": ("GET", {}, ANYBODY),
    "favicon.ico": ("GET", {}, ANYBODY),
    "^(?:api/v1|api/zeroclaw|v1)/$": ("GET", {}, dict.fromkeys(ANYBODY, ABSENT)),
    "^(?:api|v1|v2)(?:/.*)?$": ("GET", {}, dict.fromkeys(ANYBODY, ABSENT)),
    "admin/login/": ("GET", {}, {"nobody": DOOR, "stranger": NO, "owner": NO, "staff": NO}),
}
METRICS = "metrics"
"""Shown to whoever has KODA_METRICS_TOKEN; see tests/api/test_health.py."""
ADMIN = "admin:"
"""All its paths are refused to who is not staff, below; what staff may there: tests/admin."""


def patterns(found: list, prefix: str = "", route: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name, with its namespace, and the route of every path; a path without a name has its route for one."""
    for one in found:
        place = f"{route}{one.pattern}"
        if isinstance(one, URLResolver):
            yield from patterns(one.url_patterns, f"{prefix}{one.namespace}:" if one.namespace else prefix, place)
        else:
            assert isinstance(one, URLPattern)
            yield f"{prefix}{one.name or one.pattern}", place


ALL = list(patterns(get_resolver().url_patterns))


def test_every_path_has_its_row():
    names = {name for name, _ in ALL if not name.startswith((ADMIN, *(f"{one}:" for one in CONTRACTS)))}
    assert names - {METRICS} == set(PAGES), "a path needs a row in PAGES, a new API its tests in CONTRACTS"


def test_every_api_has_its_rows():
    """Each of these tests holds its rows against the operations of its OpenAPI document."""
    assert {name.partition(":")[0] for name, _ in ALL if name.startswith("api-")} == set(CONTRACTS)


@pytest.fixture
def owner(db) -> User:
    return make_user("ada")


@pytest.fixture
def session(owner) -> Session:
    make_key(owner)
    session = make_everything(owner=owner)
    receipt = Receipt.objects.begin("stale", "of a test", {}, owner=owner, by=f"user:{owner.pk}", now=timezone.now())
    receipt.complete(counts={}, size=0, session_count=0, is_complete=True, bytes_after=0, now=timezone.now())
    Webhook.objects.register(owner=owner, url="https://example.org/hook")
    return session


def path_of(name: str, session: Session) -> str:
    route = next(route for one, route in ALL if one == name)
    numbers = {
        "web:value": Metadata, "web:signal": ApiKey, "web:revoke": ApiKey,
        "web:message": Message, "web:tool": ToolCall, "web:answer": Request, "web:webhook": Webhook,
        "web:try-webhook": Webhook, "web:renew-secret": Webhook, "web:remove-webhook": Webhook,
    }  # fmt: skip
    pk = numbers[name].objects.order_by("pk").first().pk if name in numbers else 0
    uuid = Receipt.objects.get().uuid if name == "web:receipt" else session.uuid
    path = route.replace("<uuid:uuid>", str(uuid)).replace("<int:pk>", str(pk)).replace("<int:seq>", "1")
    return "/" + ("api/nowhere" if path.startswith("^") else path)


def verdict(response) -> str | int:
    """Return what an answer means; whoever is let in may still be told that a form is wrong."""
    if response.streaming:
        list(response)  # read to its end, which closes what it reads from
    assert response.status_code < 500, response.status_code
    if response.status_code == 302 and response["Location"].startswith("/sign-in/"):
        return DOOR
    return response.status_code if response.status_code in {401, NO, ABSENT, 405} else YES


@pytest.mark.parametrize("name", PAGES)
def test_each_person_gets_what_the_row_says_and_who_is_refused_changes_nothing(owner, session, name):
    method, body, row = PAGES[name]
    people = {"nobody": None, "stranger": make_user(), "staff": make_user(is_staff=True), "owner": owner}
    verdicts, changed = {}, []
    for who, user in people.items():  # the owner last, who may delete it
        client = Client(raise_request_exception=False)
        if user is not None:
            client.force_login(user)
        before = see_store()
        verdicts[who] = verdict(client.generic(method, path_of(name, session), _encoded(body), _FORM))
        # Signing out leads to the door, and is in the audit log of whoever was signed in.
        may_leave_a_trace = verdicts[who] == YES or (name == "web:sign-out" and user is not None)
        if not may_leave_a_trace and see_store() != before:
            changed.append(who)
        if name == "web:remove-webhook" and who == "owner":
            break
        session = _as_it_was(session, owner)
    assert verdicts == row
    assert not changed


_FORM = "application/x-www-form-urlencoded"


def _encoded(body: dict[str, str]) -> str:
    from urllib.parse import urlencode

    return urlencode(body)


def _as_it_was(session: Session, owner: User) -> Session:
    """Return a session of the owner on which everything may be done once more."""
    if Session.objects.filter(pk=session.pk, status="ACTIVE", state="running").exists():
        return session
    return make_everything(owner=owner)


@pytest.mark.parametrize("name", [name for name, (_, _, row) in PAGES.items() if row is READ])
def test_what_is_public_is_shown_to_everybody_and_changed_by_nobody_else(owner, session, name):
    method, body, _ = PAGES[name]
    session.edit(by="test", visibility="PUBLIC")
    stranger = Client()
    stranger.force_login(make_user())
    before = see_store()
    path = path_of(name, session)
    seen = [verdict(client.generic(method, path, _encoded(body), _FORM)) for client in (stranger, Client())]
    assert seen == ([YES, YES] if method == "GET" else [NO, NO])
    assert see_store() == before


def test_nothing_is_changed_by_a_page_of_another_origin(owner, session):
    for name, (method, body, _) in PAGES.items():
        if method != "POST":
            continue
        client = Client(enforce_csrf_checks=True)
        client.force_login(owner)
        before = see_store()
        assert client.post(path_of(name, session), body).status_code == 403, name
        assert see_store() == before


def test_no_path_of_the_admin_is_open_to_who_is_not_staff(owner, session):
    routes = [route for name, route in ALL if name.startswith(ADMIN)]
    assert len(routes) > 50
    for client in (Client(), _signed_in(owner)):
        for route in routes:
            path = "/" + _with_numbers(route)
            answer = client.get(path)
            assert answer.status_code in {301, 302, 403, 404, 405}, path
            if answer.status_code == 302:
                assert answer["Location"].startswith(("/admin/login/", "/sign-in/", "/admin/")), path
    assert _signed_in(make_user()).post("/admin/koda_sessions/session/", {}).status_code == 302


def _with_numbers(route: str) -> str:
    import re

    return re.sub(r"\(\?P<[^>]+>[^)]*\)|<[^>]+>", "1", route).replace("^", "").replace("$", "").replace("?", "")


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# --- Sockets -------------------------------------------------------------------------------------------------

SOCKETS = {
    "ws/board/": {"nobody": SIGN_IN, "stranger": YES, "owner": YES, "staff": YES},
    "ws/inbox/": {"nobody": SIGN_IN, "stranger": YES, "owner": YES, "staff": YES},
    "ws/sessions/<uuid:session_id>/": {"nobody": SIGN_IN, "stranger": GONE, "owner": YES, "staff": YES},
    "ws/api/v1/board/": {"nobody": SIGN_IN, "stranger": YES, "owner": YES, "staff": YES},
    "ws/api/v1/sessions/<uuid:session_id>/": {"nobody": SIGN_IN, "stranger": GONE, "owner": YES, "staff": YES},
}


def test_every_socket_has_its_row():
    router = websocket._application
    assert isinstance(router, URLRouter)
    assert {str(route.pattern) for route in router.routes if str(route.pattern)} == set(SOCKETS)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("route", SOCKETS)
async def test_each_gets_what_the_row_says_at_a_socket(route):
    owner = await in_db(make_user)()
    session = await in_db(make_everything)(owner=owner)
    people = {
        "nobody": None,
        "stranger": await in_db(make_user)(),
        "owner": owner,
        "staff": await in_db(make_user)(is_staff=True),
    }
    path = route.replace("<uuid:session_id>", str(session.uuid)).removeprefix("ws/").removeprefix("api/v1/")
    found = {}
    for who, user in people.items():
        if "api/v1" in route:
            peer = program(path, (await in_db(make_key)(user)).plain if user else "koda_nobodys")
        else:
            peer = page(path, await sign_in(user) if user else None)
        assert await peer.is_accepted()
        first = await peer.receive()
        found[who] = YES if first["type"] == "websocket.send" else first["code"]
        if found[who] == YES:
            await peer.leave()
    assert found == SOCKETS[route]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scope", "path"), [("write", "board/"), ("control", "board/"), ("control", "sessions/{}/")])
async def test_a_key_that_may_not_read_is_not_shown_anything(scope, path):
    owner = await in_db(make_user)()
    session = await in_db(make_everything)(owner=owner)
    peer = program(path.format(session.uuid), (await in_db(make_key)(owner, scopes=(scope,))).plain)
    assert await peer.is_accepted()
    assert await peer.close_code() == MAY_NOT_SEE
