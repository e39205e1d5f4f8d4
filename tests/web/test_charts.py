"""charts.draw: percent across, pixels down, and nothing that leaves the drawing."""

from hypothesis import given
from hypothesis import strategies as st

from sessions.web.charts import Stack, draw, round_time_up, share

AMOUNTS = st.lists(st.tuples(st.sampled_from(["live", "needs"]), st.integers(0, 10**9)), max_size=3)


def chart(stacks, **facts):
    return draw(stacks, name="c", sentence="s", pixels=100, write=str, **facts)


@given(st.lists(st.one_of(st.none(), AMOUNTS), max_size=60))
def test_all_of_a_drawing_stays_within_it(columns):
    drawn = chart([Stack(str(number), "", amounts) for number, amounts in enumerate(columns)])
    for column in drawn.columns:
        assert 0 <= float(column.left[:-1]) <= float(column.left[:-1]) + float(column.width[:-1]) <= 100.1
        for block in column.blocks:
            assert 0 <= float(block.top) <= drawn.ground
            assert float(block.height) > 0
    assert len(drawn.names) <= 5


def test_nothing_has_no_block_and_little_is_still_seen():
    little, none, unknown = chart(
        [Stack("", "", [("live", 1)]), Stack("", "", [("live", 0)]), Stack("", "", None)]
    ).columns
    assert (len(little.blocks), none.blocks, unknown.blocks) == (1, [], [])
    small = chart([Stack("", "", [("live", 10**6)]), Stack("", "", [("live", 1)])]).columns[1]
    assert float(small.blocks[0].height) >= 1


def test_the_level_is_a_round_number_above_all():
    assert [level.label for level in chart([Stack("", "", [("live", 1363)])]).levels] == ["2000.0"]
    assert chart([Stack("", "", None)]).levels == []


def test_a_level_of_time_is_round_on_a_clock():
    minute, hour = 60, 3600
    found = [round_time_up(seconds) for seconds in (0, 7, 41, 61, 840, 1000, 1900, hour + 1, 5 * hour, 11 * hour)]
    assert found == [0, 10, minute, 2 * minute, 15 * minute, 20 * minute, hour, 2 * hour, 6 * hour, 20 * hour]
    level = chart([Stack("", "", [("live", 1000)])], round_up=round_time_up).levels[0]
    assert level.label == str(20 * minute)


@given(st.floats(0, 10**9))
def test_a_level_of_time_is_not_below_its_time_and_not_far_above(seconds):
    assert seconds <= round_time_up(seconds) <= max(1, 2.5 * seconds)


def test_more_than_colour_tells_what_waits_and_what_failed():
    needs, live = chart([Stack("", "", [("needs", 1), ("live", 1)])]).columns[0].blocks
    assert (needs.is_hatched, live.is_hatched) == (True, False)


def test_a_share_is_as_long_as_its_part():
    bar = share([("amount", 3), ("failed", 1), ("rest", 0)], of=8)
    assert [(block.left, block.width) for block in bar] == [("0.00%", "37.50%"), ("37.50%", "12.50%")]
    assert share([("amount", 0)], of=0) == []
