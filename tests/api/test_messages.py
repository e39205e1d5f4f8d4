"""POST and GET /sessions/{id}/messages, last, recent, pending-tool-calls and usage."""

import pytest

from sessions import compaction
from sessions.models import Message
from tests.api.calling import agent_of
from tests.factories import make_message, make_session, make_user
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db
USAGE = {
    "prompt_tokens": 10, "completion_tokens": 5, "cache_read_tokens": 3, "cache_creation_tokens": 2,
    "thinking_tokens": 1,
}  # fmt: skip


@pytest.fixture
def session(owner):
    return make_session(owner)


@pytest.fixture
def path(session):
    return f"sessions/{session.uuid}/messages"


def test_one_message_is_stored_and_its_id_comes_back(agent, path, session):
    answer = agent.post(path, {"role": "user", "content": "Hello"})

    message = Message.objects.get()
    assert (answer.status, answer.body) == (201, {"ids": [message.pk], "duplicates": 0})
    assert (message.role, message.content, message.session) == ("user", "Hello", session)


def test_a_message_reads_back_as_it_was_sent(agent, path, session):
    calls = [{"id": "c1", "function_name": "Bash", "arguments": '{"z": 1, "a": 2}', "x": 10**30}]
    sent = {
        "role": "assistant", "content": "", "tool_calls": calls, "usage": USAGE, "agent_name": "scout",
        "client_id": "m1", "created_at": "2026-03-15T10:26:53.589793+01:00",
    }  # fmt: skip

    message_id = agent.post(path, sent)["ids"][0]

    assert agent.get(path).body == {
        "items": [
            {
                **sent, "id": message_id, "session_id": str(session.uuid), "tool_call_id": None, "compacted_at": None,
                "created_at": "2026-03-15T09:26:53.589793+00:00",
            }
        ],
        "next_cursor": None,
    }  # fmt: skip


def test_null_and_nothing_stay_different(agent, path):
    agent.post(path, {"messages": [{"role": "user"}, {"role": "user", "content": "", "tool_calls": []}]})

    first, second = agent.get(path)["items"]
    assert (first["content"], first["tool_calls"], first["usage"]) == (None, None, None)
    assert (second["content"], second["tool_calls"]) == ("", [])


def test_an_absent_count_of_reported_tokens_is_zero(agent, path):
    agent.post(path, {"role": "assistant", "usage": {"completion_tokens": 7}})

    assert agent.get(path)["items"][0]["usage"] == dict.fromkeys(USAGE, 0) | {"completion_tokens": 7}


def test_a_batch_keeps_its_order_and_names_duplicates_by_the_id_they_have(agent, path):
    first = agent.post(
        path, {"messages": [{"role": "user", "content": str(n), "client_id": f"m{n}"} for n in range(3)]}
    )
    again = agent.post(path, {"messages": [{"role": "user", "client_id": f"m{n}"} for n in (2, 3, 3, 0)]})

    ids = first["ids"]
    assert (first.status, ids == sorted(ids), first["duplicates"]) == (201, True, 0)
    assert again["duplicates"] == 3
    assert again["ids"] == [ids[2], max(again["ids"]), max(again["ids"]), ids[0]]
    assert Message.objects.count() == 4


def test_a_batch_of_nothing_stores_nothing(agent, path, session):
    assert agent.post(path, {"messages": []}).body == {"ids": [], "duplicates": 0}
    assert session.events.count() == 1


def test_broken_characters_become_the_replacement_in_what_was_written(agent, path):
    text = "a\x00b\ud800c\udfffd"
    agent.post(path, {"role": "tool", "content": text, "tool_calls": [{text: [text]}], "tool_call_id": "c1"})

    item = agent.get(path)["items"][0]
    clean = "a\ufffdb\ufffdc\ufffdd"
    assert (item["content"], item["tool_calls"]) == (clean, [{clean: [clean]}])


def test_any_script_and_any_sign_reads_back(agent, path):
    text = "日本語 \U0001f600 \u202e\x1b[31m\r\n\t\u2028 ﷽"
    agent.post(path, {"role": "user", "content": text})

    assert agent.get(path)["items"][0]["content"] == text


def test_a_batch_with_one_bad_item_stores_nothing_and_names_the_item(agent, path):
    good = {"role": "user", "content": "fine"}

    answer = agent.post(path, {"messages": [good, good, good, {"role": "wizard"}, good]})

    assert (answer.status, answer["code"], answer.fields) == (422, "invalid_request", ["messages.3.role"])
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "role"),
        ({"role": None}, "role"),
        ({"role": "User"}, "role"),
        ({"role": "user", "content": 7}, "content"),
        ({"role": "user", "tool_calls": "[]"}, "tool_calls"),
        ({"role": "user", "tool_calls": {}}, "tool_calls"),
        ({"role": "user", "tool_call_id": "\x00"}, "tool_call_id"),
        ({"role": "user", "client_id": "\ud800"}, "client_id"),
        ({"role": "user", "client_id": ""}, "client_id"),
        ({"role": "user", "agent_name": "\x00"}, "agent_name"),
        ({"role": "user", "usage": {"prompt_tokens": -1}}, "usage.prompt_tokens"),
        ({"role": "user", "usage": {"prompt_tokens": 2**63}}, "usage.prompt_tokens"),
        ({"role": "user", "usage": {"prompt_tokens": 10**400}}, "usage.prompt_tokens"),
        ({"role": "user", "usage": {"thinking_tokens": "7"}}, "usage.thinking_tokens"),
        ({"role": "user", "usage": {"thinking_tokens": True}}, "usage.thinking_tokens"),
        ({"role": "user", "usage": {"thinking_tokens": 1.5}}, "usage.thinking_tokens"),
        ({"role": "user", "created_at": "yesterday"}, "created_at"),
        ({"role": "user", "created_at": "2026-03-15T10:26:53"}, "created_at"),
        ({"role": "user", "created_at": 1773566813}, "created_at"),
        ({"role": "user", "created_at": "0001-01-01T00:00:00+14:00"}, "created_at"),
        ({"role": "user", "created_at": "9999-12-31T23:59:59-14:00"}, "created_at"),
    ],
)
def test_a_wrong_field_is_named_alone_and_in_a_batch(agent, path, message, field):
    alone = agent.post(path, message)
    in_batch = agent.post(path, {"messages": [{"role": "user"}, message]})

    assert (alone.status, alone.fields) == (422, [field])
    assert (in_batch.status, in_batch.fields) == (422, [f"messages.1.{field}"])
    assert not Message.objects.exists()


@pytest.mark.parametrize("body", [[], 7, "text", None, {"messages": {}}, {"messages": None}, [{"role": "user"}]])
def test_a_body_of_the_wrong_shape_is_refused(agent, path, body):
    answer = agent.post(path, raw="null") if body is None else agent.post(path, body)

    assert answer.status == 422
    assert not Message.objects.exists()


def test_more_than_a_thousand_at_once_are_refused(agent, path):
    answer = agent.post(path, {"messages": [{"role": "user"}] * 1001})

    assert (answer.status, answer.fields) == (422, ["messages"])
    assert agent.post(path, {"messages": [{"role": "user"}] * 1000}).status == 201


@pytest.mark.parametrize("letter", ["x", "é", "日"])
def test_a_content_over_the_limit_is_too_large_and_the_limit_is_said(agent, path, settings, letter):
    settings.KODA_MAX_CONTENT = 3000
    size = len(letter.encode())

    answer = agent.post(
        path, {"messages": [{"role": "user"}, {"role": "user", "content": letter * (3000 // size + 1)}]}
    )

    assert (answer.status, answer["code"]) == (413, "too_large")
    assert "3,000" in answer["detail"]
    assert not Message.objects.exists()
    assert agent.post(path, {"role": "user", "content": letter * (3000 // size)}).status == 201


def test_all_messages_are_paged_forwards(agent, path, session):
    ids = [make_message(session, content=str(n)) for n in range(5)]

    first = agent.get(f"{path}?limit=2")
    second = agent.get(f"{path}?limit=2&cursor={first['next_cursor']}")
    third = agent.get(f"{path}?limit=2&after={second['next_cursor']}")

    pages = [[item["id"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [ids[:2], ids[2:4], ids[4:]]
    assert third["next_cursor"] is None


def test_all_messages_are_paged_backwards_each_page_oldest_first(agent, path, session):
    ids = [make_message(session, content=str(n)) for n in range(5)]

    first = agent.get(f"{path}?limit=2&before={ids[4]}")
    second = agent.get(f"{path}?limit=2&cursor={first['next_cursor']}")

    assert [item["id"] for item in first["items"]] == ids[2:4]
    assert [item["id"] for item in second["items"]] == ids[:2]
    assert second["next_cursor"] is None


def test_between_two_ids_there_is_what_lies_between(agent, path, session):
    ids = [make_message(session, content=str(n)) for n in range(5)]

    answer = agent.get(f"{path}?after={ids[0]}&before={ids[4]}")

    assert [item["id"] for item in answer["items"]] == ids[1:4]


@pytest.mark.parametrize(
    "query", ["after=-1", "before=-1", "after=x", f"after={2**63}", "limit=-1", "limit=x", "cursor=x", "view=both",
              f"cursor={2**63}", "cursor=before:", "cursor="],
)  # fmt: skip
def test_a_wrong_place_is_refused(agent, path, query):
    answer = agent.get(f"{path}?{query}")

    assert (answer.status, answer.fields) == (422, [query.partition("=")[0]])


def test_the_context_leaves_out_what_was_archived_and_what_does_not_match(agent, path, session):
    make_message(session, content="old")
    make_message(session, role="assistant", content="asks", tool_calls=[{"id": "a"}, {"id": "b"}])
    make_message(session, role="tool", tool_call_id="a", content="kept, as Koda keeps it")
    make_message(session, role="tool", tool_call_id="ghost", content="orphan")
    make_message(session, content="new")
    compaction.compact(session.pk, summary="so far", preserve_count=4, by="test")

    answer = agent.get(f"{path}?view=context&limit=2")
    rest = agent.get(f"{path}?view=context&limit=2&cursor={answer['next_cursor']}")

    contents = [item["content"] for page in (answer, rest) for item in page["items"]]
    assert contents[:3] == ["kept, as Koda keeps it", "new", "so far"]
    assert len(contents) == 4
    assert rest["next_cursor"] is None
    assert len(agent.get(path)["items"]) == 7


def test_the_last_words_of_a_role(agent, path, session):
    assert agent.get(f"{path}/last?role=assistant").body == {"content": ""}
    make_message(session, role="assistant", content="one")
    make_message(session, role="assistant", content=None, tool_calls=[])
    make_message(session, role="user", content="two")

    assert agent.get(f"{path}/last").body == {"content": "one"}
    assert agent.get(f"{path}/last?role=user").body == {"content": "two"}
    assert agent.get(f"{path}/last?role=tool").status == 422


def test_recent_prompts_come_from_all_sessions_that_one_may_read_the_newest_first(agent, owner):
    first, second = make_session(owner), make_session(owner, source="desk")
    public = make_session(make_user(), visibility="PUBLIC")
    hidden, gone = make_session(make_user()), make_session(owner)
    ids = [make_message(session, content="p") for session in (first, second, public)]
    make_message(hidden)
    make_message(gone)
    gone.remove(by="test")
    make_message(first, content="")
    make_message(first, content=None)
    make_message(first, role="assistant")

    answer = agent.get("messages/recent?limit=2")
    rest = agent.get(f"messages/recent?limit=2&cursor={answer['next_cursor']}")

    assert [item["id"] for item in answer["items"]] == [ids[2], ids[1]]
    assert [item["session_id"] for item in rest["items"]] == [str(first.uuid)]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("messages", "pending", "calls"),
    [
        ([], False, []),
        ([{"role": "assistant", "tool_calls": []}], True, []),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]}], True, ["a", "b"]),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]}, {"role": "tool", "tool_call_id": "a"}],
         False, ["b"]),
        ([{"role": "assistant", "content": "done"}], False, []),
    ],
)  # fmt: skip
def test_pending_is_what_koda_calls_so_and_every_call_without_a_result_is_named(
    agent, path, session, messages, pending, calls
):
    agent.post(path, {"messages": messages})

    answer = agent.get(f"sessions/{session.uuid}/pending-tool-calls")

    assert answer.body == {"pending": pending, "tool_calls": calls}


def test_tokens_are_summed_in_all_and_by_agent_and_no_purge_lowers_them(agent, path, owner, session):
    used = {"role": "assistant", "content": "x", "usage": USAGE}
    agent.post(path, {"messages": [used, {**used, "agent_name": "scout"}, {**used, "agent_name": "scout"}]})
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    purge_archived(owner, min_age_days=0, by="test")

    answer = agent.get(f"sessions/{session.uuid}/usage")

    sums = {
        count: {name: count * tokens for name, tokens in USAGE.items()} | {"api_calls": count} for count in (1, 2, 3)
    }
    assert answer.body == {
        "total": sums[3],
        "by_agent": [{"agent_name": "scout", **sums[2]}, {"agent_name": "main", **sums[1]}],
    }


def test_a_write_key_may_append_to_any_session_of_its_user_and_read_none(owner, path):
    writer = agent_of(owner, "write", source="elsewhere")

    assert writer.post(path, {"role": "user", "content": "x"}).status == 201
    assert writer.get(path).status == 403
