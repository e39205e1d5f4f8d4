"""JSON that folds."""

import pytest

from sessions.templatetags.folded import folded
from tests.web.markup import parse


def test_each_part_opens_by_itself():
    root = parse(folded({"name": "a", "list": [1, 2, 3, 4, 5], "pair": {"x": None}}))
    outer, long, short = root.all("details")
    assert ["open" in details.attrs for details in (outer, long, short)] == [True, False, True]
    assert long.one("summary").text == "list [] 5"
    assert [code.text for code in long.all("code")] == ["1", "2", "3", "4", "5"]
    assert short.one("code").text == "null"


def test_text_that_is_json_folds_too():
    assert parse(folded('  {"a": "<b>"}')).one("code").text == '"<b>"'


@pytest.mark.parametrize("value", ["", "words", "[1", "7", None, 7, {}, [], "{}", "[" * 5000, list(range(1000))])
def test_what_is_no_structure_or_too_large_is_left_as_text(value):
    assert folded(value) == ""


def test_what_is_too_deep_is_left_as_text():
    deep: list[object] = []
    for _ in range(40):
        deep = [deep]
    assert folded(deep) == ""
