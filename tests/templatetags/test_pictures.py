"""Sparklines, meters and icons."""

import pytest

from sessions.templatetags.pictures import LABELS, bars, icon, meter
from tests.web.markup import parse


def test_no_event_draws_no_bar():
    assert bars([0] * 24) == ""


def test_one_bar_for_each_count_that_is_not_zero_the_highest_full():
    assert bars([0, 4, 1]) == "M4 19v-18h3v18zM8 19v-9h3v9z"


def test_a_single_event_among_thousands_still_shows():
    assert bars([1, 10_000]).startswith("M0 19v-2")


@pytest.mark.parametrize(("percent", "width"), [(0, "0.0"), (50, "12.0"), (100, "24.0")])
def test_a_meter_is_as_full_as_it_says(percent, width):
    assert parse(meter(percent)).one("rect").attrs["width"] == width


def test_an_unknown_meter_keeps_its_place():
    assert "none" in parse(meter(None)).one("svg").classes


@pytest.mark.parametrize("state", LABELS)
def test_an_icon_has_words_for_who_cannot_see_it(state):
    shown = parse(icon(state)).one("svg")
    assert (shown.attrs["role"], shown.attrs["aria-label"]) == ("img", LABELS[state])
    assert parse(icon(state, "")).one("svg").attrs["aria-hidden"] == "true"
