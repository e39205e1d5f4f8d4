"""Two imports of the same files at once: each message once, whoever was faster."""

import pytest
from django.db import connection

from sessions.importers.claude_code import ClaudeCodeReader
from sessions.importers.store import Store
from sessions.models import Message, Session
from tests.factories import make_user
from tests.importers.lines import call, encode, make_answer, make_prompt, make_result, text
from tests.importers.reading import read

pytestmark = pytest.mark.django_db


class Follower:
    """An import that reads on, of a file that another one reads, too."""

    def __init__(self, owner) -> None:
        self.store = Store(owner=owner, source="claude-code")
        self.reader = ClaudeCodeReader(name="file")

    def read(self, data: bytes, *, rests: bool = False) -> None:
        self.store.write(self.reader.read(data.splitlines()))
        if rests:
            self.store.write(self.reader.settle())
        self.store.flush()


def contents() -> list[str | None]:
    return list(Message.objects.order_by("pk").values_list("content", flat=True))


def test_a_session_that_another_import_makes_in_between_is_the_same(django_assert_max_num_queries):
    owner, data = make_user(), encode(make_prompt("Count"), make_answer("m1", text("Nine.")))
    slower, faster = (Store(owner=owner, source="claude-code") for _ in range(2))
    late = [faster]

    def look(execute, sql, params, many, context):
        """Let the other one write as soon as the first has looked for the session."""
        result = execute(sql, params, many, context)
        if late and 'FROM "koda_sessions_session"' in sql:
            late.pop().write(read(data)[0])
            faster.flush()
        return result

    with connection.execute_wrapper(look):
        slower.write(read(data)[0])
        slower.flush()
    assert not late
    assert Session.objects.count() == 1
    assert contents() == ["Count", "Nine."]
    assert (faster.written.sessions, slower.written.sessions) == (1, 0)
    assert (faster.written.messages, slower.written.messages) == (2, 0)


def test_an_answer_of_which_another_import_has_the_first_part_comes_once():
    owner = make_user()
    first, second = Follower(owner), Follower(owner)
    begin = encode(make_prompt("Count"), make_answer("m1", text("I count.")))
    rest = encode(make_answer("m1", call("c1"), output=9), make_result("c1"))
    first.read(begin)
    second.read(begin)
    first.read(b"", rests=True)  # it thought that nothing more would come
    second.read(rest, rests=True)
    first.read(rest, rests=True)
    assert contents() == ["Count", "I count.", None, "done"]
    session = Session.objects.get()
    assert (session.completion_tokens, session.tool_call_count) == (9, 1)
