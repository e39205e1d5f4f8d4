"""Whatever changes something has its entry in the audit log, or a reason why it has none; at every door.

A route, an operation, an action of the admin or a command that is added needs a row here.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client, RequestFactory

from sessions import commands
from sessions.models import Action, AuditEntry, Session, Webhook
from tests.admin.everything import make_everything
from tests.api import test_permissions as native
from tests.api.calling import agent_of
from tests.api.stakpak import test_permissions as stakpak
from tests.api.zeroclaw import test_permissions as zeroclaw
from tests.conftest import ROOT
from tests.factories import make_key, make_user
from tests.koda_web.test_permissions import ALL, PAGES, path_of

pytestmark = pytest.mark.django_db

AGENTS_WORK = "what an agent does is in its session's own log"
LOOKS = "how one reader is shown things"
IN_LOG = "who did it is in the session's own log; nothing is lost or shown by it"
READS = "changes nothing"

CONFIRMED = {"is_confirmed": "on", "top": str(2**40), "after": "0", "all": "on"}
HOOK = {"url": "https://example.org/else", "kinds": ["stuck"], "quiet_minutes": "5", "is_enabled": "on"}
NEW_PASSWORD = "a-Long-one-42"
Deed = tuple[dict[str, Any], str]
PAGE_DEEDS: dict[str, Deed | str] = {
    "web:sign-in": ({"username": "ada", "password": "wrong"}, Action.SIGN_IN_FAILED),
    "web:sign-out": ({}, Action.SIGNED_OUT),
    "web:sign-out-others": ({}, Action.SIGNED_OUT),
    "web:password": (
        {"old_password": "secret", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD},
        Action.PASSWORD_CHANGED,
    ),
    "web:connect": ({"name": "desk", "agent": "koda", "scopes": ["read"]}, Action.KEY_ISSUED),
    "web:revoke": ({}, Action.KEY_REVOKED),
    "web:alerts": (HOOK, Action.WEBHOOK_ADDED),
    "web:webhook": (HOOK, Action.WEBHOOK_CHANGED),
    "web:renew-secret": ({}, Action.WEBHOOK_CHANGED),
    "web:remove-webhook": ({}, Action.WEBHOOK_REMOVED),
    "web:try-webhook": "sends a fixed text to an address that is in the log already",
    "web:notifications": LOOKS,
    "web:appearance": LOOKS,
    "web:seen": LOOKS,
    "web:purge": ({"policy": "events", "age": "0", "confirm": "2"}, Action.PURGED),
    "web:bulk": ({"action": "delete", **CONFIRMED}, Action.DELETED),
    "web:edit": ({"visibility": "PUBLIC"}, Action.SHARED),
    "web:release": ({}, Action.RELEASED),
    "web:delete": ({}, Action.DELETED),
    "web:compact": ({"keep": "0", "summary": "s"}, Action.COMPACTED),
    "web:fork-session": ({}, Action.FORKED),
    "web:fork": ({}, Action.FORKED),
    "web:answer": ({"action": "approve"}, Action.ANSWERED),
    "web:tell": ({"action": "interrupt"}, Action.COMMANDED),
    "web:inbox": ({"action": "approve"}, Action.ANSWERED),
}
READ_DEEDS: dict[str, Deed] = {"web:export": ({"format": "json"}, Action.EXPORTED)}
"""What is taken away by reading."""


@pytest.fixture
def ada() -> User:
    return make_user("ada")


@pytest.fixture
def session(ada: User) -> Session:
    make_key(ada)
    return make_everything(owner=ada)


def noted_by(user: User) -> set[str]:
    """Return what the log says that somebody did; nobody, too, for a sign-in that failed."""
    return set(AuditEntry.objects.filter(by__in=[f"user:{user.pk}", "nobody"]).values_list("action", flat=True))


def place_of(name: str, session: Session) -> str:
    path = path_of(name, session)
    return path.replace("/0/", f"/{session.checkpoints.first().seq}/") if name == "web:fork" else path


@pytest.fixture
def browser(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def test_every_page_that_takes_a_form_has_its_row(browser, session):
    taking = set()
    for name in PAGES:
        if name.startswith("web:") and name != "web:receipt":
            client = Client()
            client.force_login(session.owner)
            if client.post(path_of(name, session), {}).status_code != 405:
                taking.add(name)
            if not Session.objects.filter(pk=session.pk, state="running").exists():
                session = make_everything(owner=session.owner)
    assert taking == set(PAGE_DEEDS)
    assert {name for name, _ in ALL if name.startswith("web:")} >= set(PAGE_DEEDS) | set(READ_DEEDS)


@pytest.mark.parametrize("name", [name for name, deed in PAGE_DEEDS.items() if not isinstance(deed, str)])
def test_what_a_page_does_is_in_the_log(ada, browser, session, name):
    body, action = PAGE_DEEDS[name]
    if name == "web:inbox":
        body = {**body, "ask": [str(session.requests.get().pk)]}
    client = Client() if name == "web:sign-in" else browser
    client.post(place_of(name, session), body)
    assert noted_by(ada) == {action}


@pytest.mark.parametrize("name", READ_DEEDS)
def test_a_copy_that_was_taken_is_in_the_log(ada, browser, session, name):
    query, action = READ_DEEDS[name]
    list(browser.get(path_of(name, session), query))
    assert noted_by(ada) == {action}
    session.edit(by="test", visibility="PUBLIC")
    list(Client().get(path_of(name, session), query))
    assert AuditEntry.objects.filter(action=action).count() == 1, "what everybody may read fills no log"


@pytest.mark.parametrize("name", [name for name, (method, _, _) in PAGES.items() if method == "GET"])
def test_to_look_at_a_page_notes_nothing(ada, browser, session, name):
    if name.startswith("web:") and name != "web:receipt":
        browser.get(path_of(name, session))
    assert noted_by(ada) == set()


# --- The API -------------------------------------------------------------------------------------------------

NATIVE: dict[str, str] = {
    "create_session": AGENTS_WORK, "append_messages": AGENTS_WORK, "ingest_events": AGENTS_WORK,
    "create_checkpoint": AGENTS_WORK, "set_state": AGENTS_WORK, "send_heartbeat": AGENTS_WORK,
    "acknowledge_command": AGENTS_WORK, "set_metadata": AGENTS_WORK, "delete_metadata": AGENTS_WORK,
    "set_todo": AGENTS_WORK, "add_file": AGENTS_WORK, "delete_file": AGENTS_WORK,
    "update_session": IN_LOG, "delete_session": Action.DELETED, "delete_session for good": Action.DESTROYED,
    "fork_session": Action.FORKED, "release_session": Action.RELEASED, "ask_command": Action.COMMANDED,
    "compact_session": Action.COMPACTED, "purge_compacted": READS, "purge": Action.PURGED,
}  # fmt: skip
STAKPAK: dict[str, str] = {
    "create_session": AGENTS_WORK, "create_checkpoint": AGENTS_WORK, "update_session": IN_LOG,
    "delete_session": Action.DELETED,
}  # fmt: skip
ZEROCLAW: dict[str, str] = {
    "append": AGENTS_WORK, "remove_last": AGENTS_WORK, "update_last": AGENTS_WORK, "clear_messages": AGENTS_WORK,
    "compact": AGENTS_WORK, "set_session_name": IN_LOG, "set_session_state": AGENTS_WORK,
    "delete_session": Action.DELETED, "cleanup_stale": Action.PURGED,
}  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "deeds"), [(native.RULES, NATIVE), (stakpak.RULES, STAKPAK), (zeroclaw.RULES, ZEROCLAW)],
    ids=["native", "stakpak", "zeroclaw"],
)  # fmt: skip
def test_every_operation_that_changes_something_has_its_row(rules, deeds):
    assert {name for name, (method, *_) in rules.items() if method != "GET"} == set(deeds)


def noted_of(plain_of: Any) -> set[str]:
    return set(AuditEntry.objects.filter(by=f"key:{plain_of.pk}").values_list("action", flat=True))


@pytest.mark.parametrize("name", [*NATIVE, "export_session"])
def test_what_an_operation_does_is_in_the_log(ada, name):
    make_key(ada)
    session = make_everything(owner=ada)
    command = commands.ask(session.pk, {"type": "quit"}, by=ada)
    method, path, body, _ = native.RULES[name]
    agent = agent_of(ada)
    before = list(AuditEntry.objects.values_list("pk", flat=True))
    assert agent.call(method, native.place(path, session, command), body).status < 300
    deed = Action.EXPORTED if name == "export_session" else NATIVE[name]
    noted = AuditEntry.objects.exclude(pk__in=before).values_list("action", "by")
    # Commands are a person's: the key speaks for its user.
    by = f"user:{ada.pk}" if deed == Action.COMMANDED else f"key:{agent.key.record.pk}"
    assert set(noted) == ({(deed, by)} if deed in Action.values else set())


@pytest.mark.parametrize("name", STAKPAK)
def test_what_an_operation_of_stakpaks_does_is_in_the_log(ada, name):
    key = make_key(ada, source="laptop")
    stakpak.call(key.plain, "POST", "sessions", {"title": "One", "state": stakpak.STATE})
    session = Session.objects.get()
    method, path, body, _ = stakpak.RULES[name]
    place = path.format(session=session.uuid, checkpoint=session.active_checkpoint.uuid)
    assert stakpak.call(key.plain, method, place, body).status_code < 300
    assert noted_of(key.record) == ({STAKPAK[name]} if STAKPAK[name] in Action.values else set())


@pytest.mark.parametrize("name", ZEROCLAW)
def test_what_an_operation_of_zeroclaws_does_is_in_the_log(ada, name):
    agent = agent_of(ada)
    zeroclaw.say(agent)
    method, path, body, *_ = zeroclaw.RULES[name]
    assert agent.call(method, path, body).status < 300
    assert noted_of(agent.key.record) == ({ZEROCLAW[name]} if ZEROCLAW[name] in Action.values else set())


# --- The admin -----------------------------------------------------------------------------------------------

USERS, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
ADMIN_DEEDS: dict[str, set[str]] = {
    "user": {"add", "change"},
    "group": {"add", "change", "delete", "delete_selected"},
    "apikey": {"add", "revoke"},
    "webhook": {"switch_off"},
    "session": {"delete", "delete_selected", "remove_softly", "purge_selected"},
}
"""What staff may do there, by model; each is done below, or by `tests/admin`, through the verb that notes it."""


def test_every_deed_of_the_admin_is_known_here():
    request = RequestFactory().get("/")
    request.user = make_user(is_staff=True, is_superuser=True)
    found = {}
    for model, one in admin.site._registry.items():
        acts = {name for name in ("add", "change", "delete") if getattr(one, f"has_{name}_permission")(request)}
        if acts := acts | set(one.get_actions(request)):
            found[model._meta.model_name] = acts
    assert found == ADMIN_DEEDS


@pytest.fixture
def boss() -> User:
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def desk(boss: User) -> Client:
    client = Client()
    client.force_login(boss)
    return client


def test_who_made_whom_and_what_they_may_now(boss, desk):
    given = {"username": "eve", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"}
    desk.post(f"{USERS}add/", given)
    eve = User.objects.get(username="eve")
    desk.post(f"{USERS}{eve.pk}/change/", _as_form(eve, is_staff="on"))
    desk.post(f"{USERS}{eve.pk}/password/", {**given, "password1": "another-Long-43", "password2": "another-Long-43"})
    made, changed, password = AuditEntry.objects.order_by("pk")
    may = {"is_active": True, "is_staff": False, "is_superuser": False}
    assert (made.action, made.by_name, made.subject, made.detail) == (Action.PERSON_ADDED, "boss", "eve", may)
    assert (changed.action, changed.subject) == (Action.PERSON_CHANGED, "eve")
    assert "staff status" in changed.detail.pop("changed")
    assert changed.detail == {**may, "is_staff": True}
    assert (password.action, password.subject) == (Action.PASSWORD_CHANGED, "eve")
    assert NEW_PASSWORD not in str(list(AuditEntry.objects.values()))


def _as_form(user: User, **changes: str) -> dict[str, str]:
    joined = user.date_joined
    return {
        "username": user.username, "date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}",
        "is_active": "on", **changes,
    }  # fmt: skip


def test_a_group_that_gives_rights(boss, desk):
    desk.post(f"{GROUPS}add/", {"name": "readers", "permissions": []})
    group = Group.objects.get()
    desk.post(f"{GROUPS}{group.pk}/change/", {"name": "readers", "permissions": [Permission.objects.first().pk]})
    desk.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    told = list(AuditEntry.objects.order_by("pk").values_list("action", "subject", "detail__what"))
    assert told == [("group_changed", "readers", what) for what in ("made", "changed", "removed")]


def test_a_webhook_that_staff_switched_off(boss, desk, ada):
    hook = Webhook.objects.register(owner=ada, url="https://hooks.example.org/secret-part", by="test")
    desk.post("/admin/koda_sessions/webhook/", {"action": "switch_off", "_selected_action": [hook.pk]})
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.by_name, entry.subject) == (Action.WEBHOOK_CHANGED, "boss", "hooks.example.org")
    assert entry.detail == {"owner": "ada", "is_enabled": False, "changed": ["is_enabled"]}
    assert "secret" not in str(entry.detail)


# --- Who does not get in -------------------------------------------------------------------------------------


def test_failures_are_counted_in_one_entry_an_hour(ada, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    for username in ("ada", "ada", "hunter2", "nobody-at-all"):
        Client().post("/sign-in/", {"username": username, "password": "wrong"})
    time_machine.shift(3601)
    Client().post("/sign-in/", {"username": "ada", "password": "wrong"})
    told = AuditEntry.objects.order_by("pk").values_list("by_name", "subject", "detail__count")
    assert list(told) == [("nobody", "ada", 2), ("nobody", "an unknown name", 2), ("nobody", "ada", 1)]
    assert "hunter2" not in str(list(AuditEntry.objects.values())), "it may be a password in the wrong field"
    assert AuditEntry.objects.first().detail["addresses"] == ["127.0.0.1"]


# --- The shell -----------------------------------------------------------------------------------------------

SHELL_DEEDS: dict[str, str] = {
    "backup": Action.BACKED_UP,
    "restore": Action.RESTORED,
    "createapikey": Action.KEY_ISSUED,
    "setup": Action.PERSON_ADDED,
    "exportsession": Action.EXPORTED,
    "compactsession": Action.COMPACTED,
    "releasestuck": Action.RELEASED,
    "purgecompacted": Action.PURGED,
    "purgedeleted": Action.PURGED,
    "purgeevents": Action.PURGED,
    "purgestale": Action.PURGED,
    "importsessions": "what it brings says so in its own log, and nothing is lost or shown",
    "demo": "has a database of its own",
    "findsecrets": READS,
    "liststuck": READS,
    "rebuild": "makes anew what follows from the records",
    "serve": "the server itself",
    "watchdog": "the server itself",
}


def test_every_command_has_its_row():
    names = {path.stem for path in Path(ROOT / "sessions/management/commands").glob("[a-z]*.py")}
    assert names == set(SHELL_DEEDS)


def at_the_shell(name: str, session: Session, folder: Path) -> None:
    """Do what the command is for."""
    given: dict[str, list[str]] = {
        "backup": [str(folder / "copy")],
        "createapikey": ["desk", "--user", "ada", "--scope", "read"],
        "setup": ["--no-static"],
        "exportsession": [str(session.uuid), "--output", str(folder / "out")],
        "compactsession": [str(session.uuid), "--keep", "0", "--summary", "s", "--yes"],
    }
    call_command(name, *given[name])


@pytest.mark.parametrize("name", ["createapikey", "exportsession", "compactsession"])
def test_what_is_done_at_the_shell_is_in_the_log(session, tmp_path, name):
    before = AuditEntry.objects.count()
    at_the_shell(name, session, tmp_path)
    entry = AuditEntry.objects.latest("pk")
    assert AuditEntry.objects.count() == before + 1
    assert (entry.by, entry.action) == ("shell", SHELL_DEEDS[name])


@pytest.mark.django_db(transaction=True)
def test_a_copy_of_the_database_is_in_the_log(tmp_path):
    call_command("backup", str(tmp_path / "copy"))
    entry = AuditEntry.objects.get()
    assert (entry.by, entry.action, entry.subject) == ("shell", Action.BACKED_UP, "copy")


def test_every_kind_of_deed_is_asked_for_somewhere():
    """No action of the log is left without a test."""
    texts = "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT / "tests").rglob("test_*.py"))
    words = set(re.findall(r"Action\.([A-Z_]+)", texts)) | {word.upper() for word in re.findall(r'"([a-z_]+)"', texts)}
    assert {action.name for action in Action} <= words
