"""The ribbon as it is drawn."""

from datetime import UTC, datetime, timedelta

from sessions.web.ribbon import LONGEST, Stay, draw

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_stays_fill_the_width_in_proportion():
    stays = [Stay("live", NOON, NOON + HOUR / 4), Stay("quiet", NOON + HOUR / 4, NOON + HOUR)]
    ribbon = draw(stays, start=NOON, end=NOON + HOUR)
    assert [(bar.state, bar.left, bar.width) for bar in ribbon.bars] == [
        ("live", "0.00%", "25.00%"),
        ("quiet", "25.00%", "75.00%"),
    ]


def test_what_lies_outside_is_cut_or_left_out():
    stays = [Stay("live", NOON - HOUR, NOON + HOUR), Stay("lost", NOON + 2 * HOUR, NOON + 3 * HOUR)]
    ribbon = draw(stays, start=NOON, end=NOON + HOUR)
    assert [(bar.state, bar.left, bar.width) for bar in ribbon.bars] == [("live", "0.00%", "100.00%")]


def test_it_looks_back_no_further_than_it_can_show():
    ribbon = draw([Stay("live", NOON - 9 * HOUR, NOON)], start=NOON - 9 * HOUR, end=NOON)
    assert ribbon.bars[0].width == "100.00%"
    assert (
        ribbon.sentence
        == f"Over the last {LONGEST.seconds // 3600}\u202fh\u202f00\u202fm: live 6\u202fh\u202f00\u202fm"
    )


def test_height_tells_states_apart_without_colour():
    states = ["resting", "quiet", "live", "stuck"]
    stays = [Stay(state, NOON + HOUR * place, NOON + HOUR * (place + 1)) for place, state in enumerate(states)]
    bars = draw(stays, start=NOON, end=NOON + 4 * HOUR).bars
    assert sorted(bar.height for bar in bars) == [bar.height for bar in bars]
    assert len({bar.height for bar in bars}) == 4
    assert [bar.is_hatched for bar in bars] == [False, False, False, True]


def test_an_empty_history_says_so():
    ribbon = draw([], start=NOON, end=NOON)
    assert ribbon.bars == []
    assert ribbon.sentence == "Over the last 2\u202fm\u202f00\u202fs: nothing known"
    assert len(ribbon.ticks) == 7


def test_the_reason_stands_in_the_title():
    ribbon = draw([Stay("stuck", NOON, NOON + HOUR, "no progress")], start=NOON, end=NOON + HOUR)
    assert ribbon.bars[0].title == "stuck 1\u202fh\u202f00\u202fm: no progress"


def test_the_times_below_tell_seconds_when_minutes_would_repeat():
    short = draw([], start=NOON, end=NOON + timedelta(minutes=2)).ticks
    assert short == ["12:00:00", "12:00:20", "12:00:40", "12:01:00", "12:01:20", "12:01:40", "12:02:00"]
    assert draw([], start=NOON, end=NOON + HOUR).ticks[:2] == ["12:00", "12:10"]
