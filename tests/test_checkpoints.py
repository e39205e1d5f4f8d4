"""What checkpoints cost, and where rewritten histories go: counted in bytes, queries and rows, on both databases."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import checkpoints, pool
from sessions.exceptions import NotFound
from sessions.likeness import Stem
from sessions.models import Checkpoint, CheckpointPiece, Message, Session
from sessions.models.exact_json import dump_exact, load_exact
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db


def state_of(messages: list[Any], **more: Any) -> checkpoints.State:
    return checkpoints.State.of(load_exact(json.dumps({"messages": messages, **more})))


def begin(messages: list[Any]) -> Checkpoint:
    return checkpoints.begin(owner=make_user(), source="laptop", title="t", state=state_of(messages), by="test")


def add(first: Checkpoint, messages: list[Any], **more: Any) -> Checkpoint:
    return checkpoints.add(first.session_id, state_of(messages), by="test", **more)


def messages_of(checkpoint: Checkpoint) -> list[Any]:
    return [json.loads(text) for text in pool.read(Checkpoint.objects.get(pk=checkpoint.pk))]


def stored_bytes() -> int:
    """Return the bytes of all that the tables of checkpoints hold, every column of every row."""
    total = 0
    for model in (Checkpoint, CheckpointPiece):
        for row in model.objects.values_list():
            total += sum(
                len(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode()) for v in row if v is not None
            )
    return total


@dataclass
class Cost:
    """What a piece of work asked of the database."""

    queries: int = 0
    rows: int = 0


@contextmanager
def counted() -> Iterator[Cost]:
    """Count the queries of a piece of work, and the rows that its reads fetch."""
    cost = Cost()
    with CaptureQueriesContext(connection) as captured:
        yield cost
    cost.queries = len(captured)
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if query["sql"].startswith("SELECT"):
                cursor.execute(query["sql"])
                cost.rows += len(cursor.fetchall())


def long_history(count: int) -> list[dict[str, Any]]:
    """Return messages of 300 to 900 characters, none like another."""
    words = random.Random(7)
    history: list[dict[str, Any]] = []
    for number in range(count):
        text = f"{number} " + "".join(words.choice("abcdefghij ") for _ in range(words.randint(300, 900)))
        history.append(user(text) if number % 2 == 0 else says(text))
    return history


def grow(count: int) -> tuple[Checkpoint, list[dict[str, Any]]]:
    """Return a session's newest of `count` checkpoints, each one message longer, written as quickly as can be."""
    history = long_history(count)
    first = begin(history[:1])
    for length in range(2, count + 1):
        newest = add(first, history[:length])
    return newest, history


@pytest.mark.slow
def test_a_thousand_growing_checkpoints_are_kept_once_and_read_at_once():
    newest, history = grow(1000)
    distinct = sum(len(dump_exact(message).encode()) for message in history)

    assert stored_bytes() <= 1.5 * distinct
    for seq in (1, 10, 500, 999, 1000):
        checkpoint = Checkpoint.objects.get(session=newest.session_id, seq=seq)
        with counted() as cost:
            state = checkpoints.read(checkpoint)
        assert json.loads(dump_exact(state))["messages"] == history[:seq]
        assert cost.queries == 1
        assert cost.rows <= 40
    assert Message.objects.of(newest.session_id).count() == 1000


def cost_of_growing_to(count: int) -> Cost:
    """Return the cost of one more checkpoint after `count`."""
    history = long_history(count + 1)
    first = begin(history[:1])
    if count > 2:
        add(first, history[: count - 1])
    add(first, history[:count])
    state = state_of(history)
    with counted() as cost:
        checkpoints.add(first.session_id, state, by="test")
    return cost


def test_the_thousandth_costs_what_the_tenth_costs():
    tenth, thousandth = cost_of_growing_to(10), cost_of_growing_to(1000)

    assert thousandth.queries <= tenth.queries + 1
    assert thousandth.rows <= tenth.rows + 1
    assert tenth.queries <= 30


def test_rewording_at_each_step_costs_no_second_copy_and_no_longer_list():
    """The ending of a step has usage and newlines; the next step sends it without (contracts/stakpak.md 2.5)."""
    history: list[Any] = [user("begin")]
    first = begin(history)
    sent, distinct = [], 0
    for step in range(30):
        text = f"{step} " + "words and words " * 40
        told = add(first, [*history, says(text + "\n\n", call(f"c{step}"), **usage(10, 5))])
        sent.append((told, [*history, says(text + "\n\n", call(f"c{step}"), **usage(10, 5))]))
        history += [says(text, call(f"c{step}")), result(f"c{step}", "done")]
        distinct += len(dump_exact(history[-2])) + len(dump_exact(history[-1]))

    assert [messages_of(checkpoint) for checkpoint, _ in sent] == [messages for _, messages in sent]
    assert stored_bytes() <= 2 * distinct  # messages are short here: most of the rest are the rows of the checkpoints
    assert sum(len(piece.text) for piece in CheckpointPiece.objects.all()) <= 1.3 * distinct
    assert {len(json.dumps(row.spans)) < 20 for row in Checkpoint.objects.all()} == {True}
    assert {row.branch for row in Checkpoint.objects.all()} == {0}


ALIKE = [
    (says("a", **usage(1, 1)), says("a")),
    (says("a"), says("a", **usage(1, 1))),
    (says("a"), says("a\n\n")),
    (says(None), says("")),
    (says(""), says("\n")),
    ({"role": "assistant", "tool_calls": [call("c")]}, says(None, call("c"))),
    (says("a"), says("a\n<checkpoint_id>0198c0de-0000-7000-8000-000000000000</checkpoint_id>")),
    (says("a"), says("a\n<checkpoint_id>0198c0de</checkpoint_id>\n<checkpoint_id>0198c0df</checkpoint_id>\n")),
    (
        says("a\n<checkpoint_id>0198c0de</checkpoint_id>"),
        says("a<checkpoint_id>1</checkpoint_id><checkpoint_id>2</checkpoint_id>"),
    ),
    (says([{"type": "text", "text": "a\n"}]), says([{"type": "text", "text": "a"}])),
]


@pytest.mark.parametrize(("before", "after"), ALIKE)
def test_the_same_message_in_other_words_is_no_branch_and_both_read_back(before, after):
    first = begin([user("q"), before])
    second = add(first, [user("q"), after, user("more")])

    assert messages_of(first) == [user("q"), before]
    assert messages_of(second) == [user("q"), after, user("more")]
    assert (second.branch, second.continues_seq, second.kept_count) == (0, 1, 2)
    assert Message.objects.of(first.session_id).count() == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (says("a"), says("b")),
        (says("a"), user("a")),
        (says("a", call("c")), says("a", call("d"))),
        (says(" a"), says("a")),
    ],
)
def test_another_message_is_a_branch(before, after):
    first = begin([user("q"), before])
    second = add(first, [user("q"), after])

    assert (messages_of(first), messages_of(second)) == ([user("q"), before], [user("q"), after])
    assert second.branch == 1


def test_a_shorter_history_is_a_branch_from_where_it_was():
    history = [user("0"), says("1"), user("2"), says("3"), user("4")]
    first = begin(history[:1])
    line = [first, add(first, history[:3]), add(first, history)]
    back = add(first, [*history[:3], says("another 3")], parent=line[-1].uuid)
    on = add(first, [*history[:3], says("another 3"), user("another 4")], parent=back.uuid)

    assert (back.branch, back.continues_seq, back.kept_count, back.parent) == (1, 2, 3, line[-1])
    assert (on.branch, on.continues_seq, on.kept_count) == (1, 4, 4)
    assert messages_of(line[-1]) == history
    assert [message.content for message in Message.objects.of(first.session_id).unarchived()] == [
        "0", "1", "2", "another 3", "another 4",
    ]  # fmt: skip


def test_a_history_that_comes_back_is_stored_no_second_time():
    """Autopilot sends a reduced list right before inference and the full one after it (3.6)."""
    full = long_history(40)
    reduced = [user("[trimmed]"), *full[30:]]
    first = begin(full)
    for step in range(6):
        full = [*full, user(f"step {step}")]
        add(first, [*reduced, user(f"step {step}")])
        newest = add(first, full)

    pieces = CheckpointPiece.objects.filter(session=first.session_id).order_by("first")
    lines = [line for piece in pieces for line in piece.lines]
    assert len(lines) == len(set(lines)) == 40 + 1 + 6
    assert messages_of(newest) == full
    rows = list(Message.objects.of(first.session_id).unarchived())
    assert [row.content for row in rows] == [message["content"] for message in full]
    assert newest.branch == 0


def test_a_message_told_twice_stands_twice():
    first = begin([user("continue"), says("ok"), user("continue"), says("ok")])
    again = add(first, [user("start"), user("continue"), says("ok"), user("continue"), says("ok")])

    assert [message["content"] for message in messages_of(again)] == ["start", "continue", "ok", "continue", "ok"]
    shown = Message.objects.of(first.session_id).unarchived().values_list("content", flat=True)
    assert list(shown) == ["start", "continue", "ok", "continue", "ok"]


def test_any_sequence_of_rewrites_reads_back_and_shows_the_newest():
    """Histories are cut, changed in the middle, reworded and go on, by chance; nothing is ever lost."""
    for seed in range(6):
        chance = random.Random(seed)
        history: list[Any] = [user("0")]
        first = begin(history)
        sent = [(first, list(history))]
        for number in range(1, 25):
            match chance.randrange(6):
                case 0:
                    history = history[: chance.randrange(len(history) + 1)]
                case 1 if history:
                    history[chance.randrange(len(history))] = user(f"changed {number}")
                case 2 if history:
                    at = chance.randrange(len(history))
                    history[at] = {**history[at], "content": history[at]["content"] + "\n"}
                case 3:
                    history = [*chance.choice(sent)[1], user(f"resumed {number}")]
                case _:
                    history = [*history, *(says(f"{number} {n}", **usage(1, 1)) for n in range(chance.randrange(4)))]
            sent.append((add(first, history), list(history)))
        for checkpoint, messages in sent:
            assert messages_of(checkpoint) == messages, seed
        shown = Message.objects.of(first.session_id).unarchived().values_list("content", flat=True)
        assert [str(content).rstrip("\n") for content in shown] == [m["content"].rstrip("\n") for m in history], seed


def test_a_checkpoint_that_fails_leaves_nothing(settings):
    first = begin([user("a")])
    before = Session.objects.get(pk=first.session_id)
    settings.KODA_MAX_CONTENT = 10
    with pytest.raises(Exception, match="over the limit"):
        add(first, [user("a"), user("b" * 100)])

    assert Session.objects.get(pk=first.session_id).revision == before.revision
    assert (Checkpoint.objects.count(), sum(p.end - p.first for p in CheckpointPiece.objects.all())) == (1, 1)


def test_numbers_keep_their_text():
    text = '{"a":1.50,"b":-0,"c":' + "9" * 30 + ',"d":1E5,"e":[0.1,12345678901234567890]}'

    assert dump_exact(load_exact(text)) == text


def test_a_session_of_another_kind_takes_checkpoints_as_well():
    session = make_session()
    checkpoint = checkpoints.add(session.pk, state_of([user("a")]), by="test")

    assert Session.objects.get(pk=session.pk).active_checkpoint == checkpoint


def test_the_digest_of_a_longer_history_goes_on_from_that_of_a_shorter_one():
    texts = ['{"role":"user"}', '{"content":"\u00e4"}', "{}"]
    stem = Stem(texts)
    digests = [stem.of(count) for count in range(len(texts) + 1)]
    assert digests == [Stem(texts).of(count) for count in range(len(texts) + 1)]
    whole = "".join(f"{text}\n" for text in texts).encode()
    assert digests[-1] == blake2b(whole, digest_size=16).digest()  # as what is stored was made
    assert len(set(digests)) == len(digests)


def test_a_checkpoint_whose_messages_a_purge_has_just_taken_is_not_found():
    first = begin([user("a"), says("b")])
    CheckpointPiece.objects.all().delete()
    with pytest.raises(NotFound):
        pool.read(first)


def test_a_session_that_a_purge_left_without_checkpoints_begins_behind_what_the_pool_still_holds():
    first = begin([user("a"), says("b")])
    Checkpoint.objects.filter(pk=first.pk).delete()
    made = add(first, [user("c")])
    assert [message["content"] for message in messages_of(made)] == ["c"]
    assert [message["content"] for message in messages_of(add(first, [user("c"), says("d")]))] == ["c", "d"]
