"""What is shown or counted over many sessions, and beside a public one, holds nothing that others keep private."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from sessions.models import Session
from tests.api.calling import agent_of
from tests.api.test_permissions import undone
from tests.factories import make_events, make_session, make_user
from tests.koda_web.foreign_asking import ask, told_of, without
from tests.koda_web.foreign_rows import Row
from tests.koda_web.neighbours import Things, furnish, purged
from tests.koda_web.test_permissions import ALL, CONTRACTS, PAGES
from tests.live.sockets import in_db, page, sign_in

HOURS = timedelta(hours=2)
"""So long ago is all that there is; a purge goes by the age."""

# --- What is shown of all together ---------------------------------------------------------------------------

ALL_TOGETHER = [
    *(f"/{route}" for name, route in ALL if name in PAGES and PAGES[name][0] == "GET" and "<" not in route
      and not name.startswith(("admin/", "^", "healthz"))),
    "/search/?q={word}", "/sessions/?q={word}", "/?q={word}", "/storage/?policy=stale&age=0", "/figures/?days=365",
    "/storage/?policy=compacted&age=0", "/sessions/{session}/", "/sessions/{session}/?tab=usage",
    *("/api/v1/" + path for _, path, _, _ in CONTRACTS["api-native"].RULES.values() if "{" not in path),
    "/api/v1/search?q={word}", "/api/v1/sessions?q={word}", "/api/v1/sessions?status=ALL",
    "/api/v1/messages/recent?role=assistant", "/api/v1/sessions/stuck?threshold_secs=0",
    *("/v1/" + path for method, path, _, _ in CONTRACTS["api-stakpak"].RULES.values()
      if method == "GET" and "{" not in path),
    "/v1/sessions?status=ALL",
    *(path for method, path, *_ in CONTRACTS["api-zeroclaw"].RULES.values()
      if method == "GET" and "/sessions/k" not in path),
    "/api/zeroclaw/sessions", "/api/zeroclaw/sessions?keyword={word}",
]  # fmt: skip
"""All that shows or counts over many sessions."""
PREVIEWS = [
    ("/api/v1/purges", {"policy": "stale", "ttl_hours": 0, "force": True, "dry_run": True, "include_running": True}),
    ("/api/v1/purges", {"policy": "events", "older_than_days": 0, "dry_run": True}),
    ("/api/v1/compacted/purge", {"min_age_days": 0, "dry_run": True}),
    ("/api/zeroclaw/cleanup", {"ttl_hours": 0, "force": True, "dry_run": True}),
]


def _seen_together(mine: Things, word: str) -> dict[str, str]:
    rows = [Row(path=path.format(word=word, session=mine.session)) for path in dict.fromkeys(ALL_TOGETHER)]
    rows += [Row(path=path, method="POST", body=body) for path, body in PREVIEWS]
    found = {}
    for row in rows:
        with undone():
            answer = ask(row, mine, mine)
        assert answer.status < 500, row.path
        found[f"{row.method} {row.path} {row.body or ''}"] = re.sub(r"key:\d+", "key:…", without(answer.text, []))
    return found


@pytest.mark.parametrize("word", ["sealion", "zebra"])
def test_what_others_keep_to_themselves_is_in_no_list_and_no_figure(db, own_counts, time_machine, word):
    time_machine.move_to(timezone.now(), tick=False)
    mine = furnish("sealion", "mackerel")
    mine.row.see(mine.owner)
    time_machine.shift(HOURS)
    before = _seen_together(mine, word)
    time_machine.shift(-HOURS)
    theirs = furnish("zebra", "acacia", more=3)
    time_machine.shift(HOURS)
    after = _seen_together(mine, word)
    assert {place: text for place, text in after.items() if text != before[place]} == {}
    assert {place for place, text in after.items() if told_of(theirs, text)} == set()


def test_how_large_the_database_is_only_staff_are_told(db):
    for user, size in ((make_user(), None), (make_user(is_staff=True), 987_654_321)):
        receipt = purged(user, str, timezone.now())
        (shown,) = agent_of(user).get("purges")["items"]
        assert (shown["id"], shown["bytes_before"], shown["bytes_after"]) == (str(receipt.uuid), size, size)


# --- What stands above and below a session that everybody may read -------------------------------------------


@pytest.fixture
def family(db: None, own_counts: None) -> tuple[Session, Session, Session]:
    """A public session between a private one above it and a private one below it."""
    owner = make_user()
    above = make_session(owner, title="secret above")
    between = make_session(owner, title="between", parent=above, visibility="PUBLIC")
    below = make_session(owner, title="secret below", parent=between)
    make_session(owner, title="open below", parent=between, visibility="PUBLIC")
    return above, between, below


def test_the_page_of_a_public_session_names_no_private_one_above_or_below_it(family):
    above, between, below = family
    for user in (None, make_user(), between.owner, make_user(is_staff=True)):
        client = Client()
        if user is not None:
            client.force_login(user)
        page = f"/sessions/{between.uuid}/"
        told = "".join(client.get(path).content.decode() for path in (page, f"{page}?tab=files", f"{page}glance/"))
        is_told = user is not None and between.may_be_changed_by(user)
        for session in (above, below):
            assert (session.title in told, str(session.uuid) in told) == (is_told, is_told), user
        assert "open below" in told
        assert f"<small>{2 if is_told else 1}</small>" in told


def test_a_private_session_of_somebody_else_is_not_named_below_ones_own(family):
    _, between, _ = family
    make_session(make_user(is_staff=True), title="secret of staff", parent=between)
    client = Client()
    client.force_login(between.owner)
    assert "secret of staff" not in client.get(f"/sessions/{between.uuid}/").content.decode()


@pytest.mark.django_db(transaction=True)
async def test_an_open_page_of_a_public_session_is_sent_the_names_of_no_private_one():
    owner = await in_db(make_user)()
    session = await in_db(make_session)(owner, visibility="PUBLIC")
    await in_db(make_session)(owner, title="secret below", parent=session)
    for user, is_told in ((None, False), (await in_db(make_user)(), False), (owner, True)):
        peer = await page(f"sessions/{session.uuid}/", await sign_in(user) if user else None).open()
        await peer.frame()
        await in_db(make_events)(session, {"type": "turn_start", "turn_id": f"t-{user}"})
        html = await peer.batches(until=lambda html: 'id="aside"' in html)
        assert ("secret below" in html) == is_told
        await peer.leave()
