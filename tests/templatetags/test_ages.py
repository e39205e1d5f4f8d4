"""Times and figures in words."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions.templatetags.ages import age, ago, clock, commas, counted, day, figure, past, size, span

NOW = datetime(2026, 11, 25, 14, 20, tzinfo=UTC)


def plain(text):
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 s"),
        (0.24, "0.2 s"),
        (9.96, "10.0 s"),
        (42, "42 s"),
        (42.9, "42 s"),
        (60, "1 m 00 s"),
        (370, "6 m 10 s"),
        (3720, "1 h 02 m"),
        (86_399, "23 h 59 m"),
        (3 * 86_400 + 5, "3 d"),
        (-5, "0 s"),
        (timedelta(minutes=2), "2 m 00 s"),
    ],
)
def test_a_span(seconds, words):
    assert plain(span(seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s ago"), (690, "11 m ago"), (3720, "1 h 02 m ago"), (172_800, "2 d ago")]
)
def test_the_past_in_one_unit(seconds, words):
    assert plain(past(seconds)) == words


def test_an_age_carries_its_time_so_that_it_can_tick():
    html = age(NOW - timedelta(seconds=42), NOW)
    assert html.startswith('<time datetime="2026-11-25T14:19:18+00:00" data-tick="age" title="')
    assert plain(html).endswith(">42 s</time>")
    assert plain(ago(NOW - timedelta(seconds=42), NOW)).endswith(">42 s ago</time>")


@pytest.mark.parametrize("words", [age(None, NOW), ago(None, NOW), clock(None)])
def test_an_unknown_time_is_a_dash_with_its_reason(words):
    assert words == '<span class="dim" title="not reported">\N{EN DASH}</span>'


def test_a_clock_that_runs_ahead_never_shows_a_negative_age():
    assert plain(age(NOW + timedelta(hours=1), NOW)).endswith(">0 s</time>")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10 k"),
        (142_400, "142 k"),
        (999_499, "999 k"),
        (999_600, "1.0 M"),
        (1_234_567, "1.2 M"),
        (5_000_000_000, "5.0 G"),
    ],
)
def test_a_figure(value, words):
    assert plain(figure(value)) == words


def test_a_sum_keeps_its_digits():
    assert (counted(9_999), counted(10_000), counted(10_001)) == ("9,999", "10,000", "10,000+")
    assert (commas(115_802), commas(None)) == ("115,802", "\N{EN DASH}")


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0 B"), (999, "999 B"), (4_100, "4.1 kB"), (5_200_000, "5.2 MB"), (3 * 10**9, "3.0 GB")]
)
def test_a_size(value, words):
    assert plain(size(value)) == words


@pytest.mark.parametrize(
    ("days", "words"), [(0, "Today"), (1, "Yesterday"), (2, "Mon 23 Nov"), (400, "Tue 21 Oct 2025")]
)
def test_a_day(days, words):
    at = NOW - timedelta(days=days)
    assert day(at, NOW) == f'<span data-day="{at:%Y-%m-%d}">{words}</span>'
