"""Somebody else's private ids and names on one's own sockets, and what happens to others meanwhile."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sessions.live.consumers.pages import FILTER_WORDS
from sessions.live.inbound import FrameIn
from sessions.models import File, Metadata
from tests.api.test_permissions import see_store
from tests.conftest import ROOT
from tests.factories import make_events, make_message
from tests.koda_web.foreign_asking import fields_of, filled, sent_forms, told_of, without
from tests.koda_web.foreign_rows import Row
from tests.koda_web.neighbours import Things, furnish, nobodys, rows_of
from tests.live.sockets import cursor_of, in_db, page, program, settle, sign_in

FRAMES = {
    "command_ack.id": {"command_ack": {"id": "{its.command}", "obeyed": True}},
    "events.event_id": {"events": [{"type": "info", "event_id": "{its.event_id}"}]},
    "events.turn_id": {"events": [{"type": "turn_end", "turn_id": "{its.turn}", "reason": {"kind": "complete"}}]},
    "events.type": {"events": [{"type": "server.messages_added", "message_ids": ["{its.message}"]}]},
    "events.id": {"events": [{"type": "tool_call_result", "id": "{its.open_call}", "name": "Bash", "output": "done"}]},
}
"""What a program may say on the socket of its own session, with a name in it that is not its own."""
FRAME_WORDS_THAT_SAY = {
    "id", "events.at", "heartbeat.activity", "heartbeat.expect_within", "heartbeat.interval", "heartbeat.progress",
    "command_ack.obeyed", "command_ack.detail",
}  # fmt: skip
BOARDS = (
    "board/?q={word}", "board/?agent={agent}", "board/?project={project}", "board/?source={source}", "board/?since=1",
    "board/?state=running", "board/", "inbox/?since=1",
)  # fmt: skip
PLACES = ("sessions/{session}/?after={seq}", "sessions/{session}/?events=1&after={seq}")


def test_every_word_of_a_socket_has_its_row():
    schema = FrameIn.model_json_schema()
    assert set(fields_of(schema, schema["$defs"])) - FRAME_WORDS_THAT_SAY == FRAMES.keys() - {"events.id"}
    known = {*_words_of_sockets(), *FILTER_WORDS}
    assert known == {word for path in (*BOARDS, *PLACES) for word in re.findall(r"[?&](\w+)=", path)}


def _words_of_sockets() -> Iterator[str]:
    for path in Path(ROOT, "sessions/live/consumers").glob("*.py"):
        yield from re.findall(r'(?:number|query\.get)\("(\w+)"', path.read_text())


async def _texts(peer: Any) -> list[str]:
    """Return all that a peer is sent until there is no more, pings left out; it acknowledges what a page must."""
    found: list[str] = []
    while True:
        await settle()
        if peer.wire.output_queue.empty():
            return found
        while not peer.wire.output_queue.empty():
            text = (await peer.receive()).get("text", "closed")
            if text.startswith("<"):
                await peer.ack(cursor_of(text))
            if not text.startswith('{"type":"ping"'):
                found.append(text)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", FRAMES)
async def test_a_frame_names_nothing_that_is_not_ones_own(own_counts, place):
    mine = await in_db(furnish)("sealion", "mackerel")
    theirs = await in_db(furnish)("zebra", "acacia", more=3)
    before = rows_of(theirs, await in_db(see_store)())
    answers = []
    for its in (nobodys(theirs), theirs, mine):
        peer = await program(f"sessions/{mine.session}/?after={theirs.event_seq}", mine.plain).open()
        await peer.say({"id": "…", **filled(FRAMES[place], {"its": its})})
        texts = await _texts(peer)
        said = without("".join(texts), sent_forms(Row(path="", body=FRAMES[place]), its))
        assert its is mine or told_of(theirs, said) == []
        (answer,) = [frame for frame in map(json.loads, texts) if frame.get("id") == "…"]
        answers.append({word: answer.get(word) for word in ("type", "code", "detail", "stored")})
        await peer.leave()
    assert rows_of(theirs, await in_db(see_store)()) == before
    assert answers[0] == answers[1]
    assert (answers[1] == answers[2]) == (place in {"events.type", "events.id"}), "one's own has its effect"


@pytest.mark.django_db(transaction=True)
async def test_no_socket_tells_of_what_others_keep_to_themselves(own_counts):
    mine = await in_db(furnish)("sealion", "mackerel")
    theirs = await in_db(furnish)("zebra", "acacia", more=3)
    words = {"word": theirs.word, "agent": theirs.agent, "project": quote(theirs.project), "source": theirs.source}
    words |= {"session": str(mine.session), "seq": str(theirs.event_seq)}
    cookie = await sign_in(mine.owner)
    peers = {path: page(path.format(**words), cookie) for path in (*BOARDS, *PLACES)}
    peers |= {f"api {path}": program(path.format(**words), mine.plain) for path in ("board/", PLACES[0])}
    told = {path: await _beginning(await peer.open(), path, mine) for path, peer in peers.items()}
    for path, texts in (await _all_texts(peers)).items():
        told[path] += texts  # what came of it that all have come: the agent was handed its commands
    await in_db(_stir)(theirs)
    news = await _all_texts(peers)
    sent = [theirs.word, theirs.agent, quote(theirs.project), theirs.project, theirs.source]
    for path, peer in peers.items():
        texts = without("".join([*told[path], *news[path]]), sent)
        rows = [pk for pk in (theirs.row.pk, theirs.child_row.pk) if f'id="session-{pk}"' in texts]
        assert (path, told_of(theirs, texts), rows) == (path, [], [])
        assert (path, news[path]) == (path, [])
        await peer.leave()
    own = page("board/", cookie)
    await _beginning(await own.open(), "board/", mine)
    await in_db(_stir)(mine)
    assert mine.secret in "".join(await _texts(own))
    await own.leave()


async def _all_texts(peers: dict[str, Any]) -> dict[str, list[str]]:
    return dict(zip(peers, await asyncio.gather(*map(_texts, peers.values())), strict=True))


async def _beginning(peer: Any, path: str, mine: Things) -> list[str]:
    """Return all that a page or a program is sent at first: of a board its counters, of the past one's own."""
    first = [await peer.raw()]
    if path.startswith(("board/", "inbox/")):
        wanted = ['id="counters"', *([mine.secret] if "since" in path else [])]
        first.append(await peer.batches(until=lambda html: all(one in html for one in wanted)))
    return [*first, *await _texts(peer)]


def _stir(its: Things) -> None:
    """Let everything happen of which sockets tell."""
    its.row.edit(by="test", title=f"{its.title} again")
    make_message(its.row, content=its.title)
    asked = {"tool_name": its.tool_name, "detail": its.title, "preview": None}
    make_events(its.row, {"type": "approval_request", "id": "again", **asked}, {"type": "loop_cap_reached", "cap": 9})
    make_events(its.child_row, {"type": "info", "text": its.title})
    Metadata.objects.put(its.row, "todo", f"- [x] {its.title}")
    File.objects.own(its.row, f"{its.file}-again")
    its.child_row.remove(by="test")
    its.child_row.destroy(by="test")
