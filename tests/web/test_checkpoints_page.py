"""The page of a session's checkpoints: the tree, what changed between any two, a fork, the line to resume."""

import pytest

from sessions import checkpoints
from sessions.models import Checkpoint, Session
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.factories import make_session, make_user
from tests.test_checkpoints import add, messages_of, state_of
from tests.web.markup import parse

HISTORY = [user("make it fast"), says("looking", call("c1"), **usage(10, 5)), result("c1"), says("done")]


def begin(owner, messages=HISTORY, **facts):
    return checkpoints.begin(owner=owner, source="laptop", title="Faster", state=state_of(messages), by="test", **facts)


def path(checkpoint, rest=""):
    return f"/sessions/{checkpoint.session.uuid}/checkpoints/{rest}"


def get(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return parse(response.content)


def rows_of(page):
    return [row.one("span", "what").text for row in page.one("ol", "tree").all("li")]


def test_the_tree_says_what_each_brought_and_where_histories_part(owner, reader):
    first = begin(owner, HISTORY[:1])
    add(first, HISTORY)
    add(first, [HISTORY[0], says("another way")])
    add(first, [*HISTORY, user("after all")])
    page = get(reader, path(first))

    back, rewritten, grown, one = rows_of(page)
    assert back == "5 messages back to #2 +1 active"
    assert rewritten == "2 messages rewritten after #1, keeps 1"
    assert grown == "4 messages +3"
    assert one == "1 message branches here"
    assert [row.attrs["data-lane"] for row in page.one("ol", "tree").all("li")] == ["0", "1", "0", "0"]
    assert "4 checkpoints on 2 branches" in page.text


def test_what_a_rewrite_left_out_was_not_compacted(owner, reader):
    first = begin(owner)
    add(first, [HISTORY[0], says("another way")])
    add(first, [*HISTORY, user("after all")])
    transcript = f"/sessions/{first.session.uuid}/"
    assert [seam.text for seam in get(reader, transcript).all("p", "seam")] == [
        "1 message not in the newest checkpoint Show them"
    ]
    whole = get(reader, f"{transcript}?archived=1")
    assert "another way" in whole.text
    assert [seam.text for seam in whole.all("p", "seam")] == ["1 message not in the newest checkpoint Leave them out"]


def test_the_lines_to_resume_can_be_copied(owner, reader):
    first = begin(owner)
    page = get(reader, path(first))

    lines = [button.attrs["data-copy"] for button in page.all("button") if "data-copy" in button.attrs]
    assert lines == [f"stakpak -s {first.session.uuid}", f"stakpak -c {first.uuid}"]


def test_another_agent_is_not_told_to_resume_with_stakpak(owner, reader):
    first = begin(owner, agent_name="other")

    assert "stakpak -" not in get(reader, path(first)).text


def test_many_checkpoints_come_in_pages(owner, reader, django_assert_max_num_queries):
    first = begin(owner, [user("0")])
    Checkpoint.objects.bulk_create(
        Checkpoint(
            session=first.session, seq=seq, spans=[[0, 1]], message_count=1, kept_count=1, continues_seq=seq - 1,
            created_at=first.created_at, updated_at=first.created_at,
        )
        for seq in range(2, 451)
    )  # fmt: skip
    with django_assert_max_num_queries(16):
        page = get(reader, path(first))
    assert len(rows_of(page)) == 200
    older = page.one("p", "more").one("a").attrs["href"]
    assert older == path(first, "?before=251")
    assert len(rows_of(get(reader, path(first, "?before=51")))) == 50


def test_what_changed_between_two_is_shown_message_by_message(owner, reader):
    first = begin(owner, HISTORY)
    add(first, [*HISTORY[:3], says("done, twice"), user("more")])
    page = get(reader, path(first, "?from=1&to=2"))

    changes = page.one("ol", "changes").all("li")
    assert [change.attrs["data-kind"] for change in changes] == ["changed", "added"]
    assert "3 the same" in page.one("p", "sums").text
    below, beside = changes[0].all("table", "diff")
    marked = [mark.text for mark in below.all("mark")]
    assert [mark.text for mark in beside.all("mark")] == marked
    assert "".join(marked).strip() == ", twice"
    assert changes[1].one("pre").text == "more"


def test_the_other_way_round_adds_what_was_removed(owner, reader):
    first = begin(owner, HISTORY)
    add(first, HISTORY[:2])

    there = get(reader, path(first, "?from=1&to=2")).one("ol", "changes").all("li")
    back = get(reader, path(first, "?from=2&to=1")).one("ol", "changes").all("li")
    assert [change.attrs["data-kind"] for change in there] == ["removed", "removed"]
    assert [change.attrs["data-kind"] for change in back] == ["added", "added"]


def test_the_same_message_in_other_words_says_so(owner, reader):
    first = begin(owner, HISTORY[:2])
    add(first, [HISTORY[0], says("looking\n", call("c1"))])

    (change,) = get(reader, path(first, "?from=1&to=2")).one("ol", "changes").all("li")
    assert "the same message in other words" in change.text


def test_metadata_is_compared_too(owner, reader):
    first = checkpoints.begin(
        owner=owner, source="s", state=checkpoints.State.of({"messages": [], "metadata": {"a": 1}}), by="test"
    )
    checkpoints.add(first.session_id, checkpoints.State.of({"messages": [], "metadata": {"a": 2}}), by="test")
    (change,) = get(reader, path(first, "?from=1&to=2")).one("ol", "changes").all("li")

    assert [pre.text for pre in change.all("pre")] == ['{"a":1}', '{"a":2}']


def test_equal_states_differ_in_nothing(owner, reader):
    first = begin(owner)
    add(first, HISTORY)

    assert "Nothing differs" in get(reader, path(first, "?from=1&to=2")).text


@pytest.mark.parametrize("query", ["?from=1&to=9", "?from=0&to=1", "?from=99999999999999999999&to=1"])
def test_a_checkpoint_that_is_not_there_is_not_found(owner, reader, query):
    response = reader.get(path(begin(owner), query))

    assert response.status_code in {200, 404}
    assert response.status_code == 404 or b"Compare" in response.content


def test_a_fork_begins_a_session_of_its_own_with_that_history(owner, reader):
    first = begin(owner, HISTORY[:2])
    add(first, HISTORY)
    response = reader.post(path(first, "1/fork/"))

    made = Session.objects.exclude(pk=first.session_id).get()
    assert response.headers["Location"] == f"/sessions/{made.uuid}/"
    assert messages_of(made.active_checkpoint) == HISTORY[:2]
    assert (made.title, made.parent, made.owner, made.agent_name) == ("Fork of Faster", first.session, owner, "stakpak")
    assert (made.state, made.needs, made.visibility, made.total_tokens) == ("idle", "", "PRIVATE", 0)
    assert Checkpoint.objects.filter(session=first.session).count() == 2


def test_only_who_may_change_a_session_may_fork_it(owner, reader):
    first = begin(make_user(), visibility="PUBLIC")

    assert "Fork" not in get(reader, path(first)).one("ol", "tree").text
    assert reader.post(path(first, "1/fork/")).status_code == 403
    assert reader.get(path(begin(make_user()))).status_code == 404
    assert reader.get(path(first, "1/fork/")).status_code == 405
    assert reader.post(path(begin(owner), "99999999999999999999/fork/")).status_code == 404
    assert not Session.objects.filter(title__startswith="Fork").exists()


def test_hostile_words_stay_words(owner, reader):
    first = begin(owner, [user("<script>alert(1)</script>")])
    checkpoints.add(
        first.session_id,
        checkpoints.State.of({"messages": [user("<img src=x onerror=alert(1)>")], "<b>": {"<i>": "</pre><script>"}}),
        by="test",
    )
    page = get(reader, path(first, "?from=1&to=2"))

    scripts = [script for script in page.all("script") if "src" not in script.attrs]
    assert (scripts, page.all("img"), page.one("ol", "changes").all("i")) == ([], [], [])


def test_it_is_a_tab_of_its_session_with_the_header_and_a_count(owner, reader):
    first = begin(owner)
    add(first, HISTORY)
    for query in ("", "?from=1&to=2"):
        page = get(reader, path(first, query))
        assert page.one("h1").text == "Faster"
        assert page.by_id("verdict").text
        assert page.by_id("tabs").one("a", aria_current="page").text == "Checkpoints 2"
    link = get(reader, f"/sessions/{first.session.uuid}/").by_id("tab-checkpoints")
    assert link.attrs["href"] == path(first)


def test_a_session_without_checkpoints_says_whose_they_are(owner, reader):
    page = get(reader, f"/sessions/{make_session(owner).uuid}/checkpoints/")
    assert page.by_id("tab-checkpoints").text == "Checkpoints 0"
    assert page.by_id("part").one("h2").text == "No checkpoint"
