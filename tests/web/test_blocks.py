"""Blocks of a long list."""

import pytest

from sessions import transcripts
from sessions.models import Message
from sessions.web import blocks
from tests.factories import make_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows():
    session = make_session()
    drafts = [transcripts.MessageDraft(role="user", content=str(number)) for number in range(10)]
    transcripts.append(session.pk, drafts)
    return Message.objects.of(session.pk)


def shown(block):
    return [int(message.content) for message in block.rows], block.has_older, block.has_newer


def pk(rows, number):
    return rows[number].pk


def test_the_newest_end(rows):
    assert shown(blocks.newest(rows, key="pk", count=3)) == ([7, 8, 9], True, False)
    assert shown(blocks.newest(rows, key="pk", count=10)) == (list(range(10)), False, False)


def test_before_and_after_leave_their_place_out(rows):
    assert shown(blocks.before(rows, pk(rows, 7), key="pk", count=3)) == ([4, 5, 6], True, True)
    assert shown(blocks.before(rows, pk(rows, 2), key="pk", count=3)) == ([0, 1], False, True)
    assert shown(blocks.after(rows, pk(rows, 3), key="pk", count=3)) == ([4, 5, 6], True, True)
    assert shown(blocks.after(rows, pk(rows, 7), key="pk", count=3)) == ([8, 9], True, False)


def test_around_holds_its_place(rows):
    assert shown(blocks.around(rows, pk(rows, 5), key="pk")) == (list(range(10)), False, False)


def test_nothing_has_no_ends(rows):
    block = blocks.newest(rows.none(), key="pk")
    assert (block.first, block.last, block.has_older) == (None, None, False)


def test_a_heavy_block_keeps_its_newest_rows(rows, monkeypatch):
    monkeypatch.setattr(blocks, "HEAVIEST", 45)
    monkeypatch.setattr(blocks, "FEWEST", 2)
    whole = blocks.newest(rows, key="pk")
    assert shown(blocks.lightened(whole, weigh=lambda _: 10)) == ([6, 7, 8, 9], True, False)
    assert shown(blocks.lightened(whole, weigh=lambda _: 1000)) == ([8, 9], True, False)
    assert blocks.lightened(whole, weigh=lambda _: 1) is whole
