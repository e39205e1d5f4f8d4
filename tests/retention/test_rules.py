"""retention.rules: which rules there can be, and how they read."""

import pytest

from sessions.exceptions import InvalidRequest
from sessions.retention import Policy, Rule


@pytest.mark.parametrize(
    "facts",
    [
        {"policy": Policy.COMPACTED, "age": -1},
        {"policy": Policy.DELETED, "age": 36_501},
        {"policy": Policy.EVENTS, "age": 10**12},
        {"policy": Policy.STALE, "age": -1, "is_forced": True},
        {"policy": Policy.STALE, "age": 0},
        {"policy": Policy.EVENTS, "age": 1, "include_running": True},
    ],
)
@pytest.mark.django_db
def test_a_rule_that_cannot_be_is_refused(facts):
    with pytest.raises(InvalidRequest):
        Rule(**facts)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"policy": Policy.COMPACTED, "age": 1}, "archived more than 1 day ago"),
        ({"policy": Policy.STALE, "age": 0, "is_forced": True}, "not used for more than 0 hours"),
        (
            {"policy": Policy.STALE, "age": 720, "include_running": True},
            "not used for more than 720 hours, running ones too",
        ),
        ({"policy": Policy.DELETED, "age": 30, "source": "ops"}, "deleted more than 30 days ago, source ops"),
        ({"policy": Policy.EVENTS, "age": 9, "project": "/a"}, "received more than 9 days ago, project /a"),
    ],
)
@pytest.mark.django_db
def test_a_rule_reads_as_words(facts, words):
    assert Rule(**facts).words == words
