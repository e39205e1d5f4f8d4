"""Where the time of a turn went."""

from datetime import UTC, datetime, timedelta

from sessions.web.lanes import KINDS, split

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def seconds_of(found):
    return {kind: found.sum_of(kind).total_seconds() for kind in KINDS}


def stretches(*pairs):
    return [(at(since), at(until)) for since, until in pairs]


def test_what_is_neither_tool_nor_waiting_is_the_models():
    found = split(at(0), at(60), tools=stretches((10, 20), (30, 35)), waits=stretches((40, 50)))
    assert seconds_of(found) == {"model": 35, "tool": 15, "waiting": 10}


def test_nothing_counts_twice_and_who_waits_for_a_person_waits():
    found = split(at(0), at(60), tools=stretches((0, 30), (10, 40), (50, 60)), waits=stretches((5, 25), (20, 55)))
    assert seconds_of(found) == {"model": 0, "tool": 10, "waiting": 50}


def test_what_lies_outside_the_turn_is_cut_off():
    found = split(at(0), at(10), tools=stretches((-5, 2), (8, 90), (20, 30)), waits=[])
    assert seconds_of(found) == {"model": 6, "tool": 4, "waiting": 0}


def test_a_turn_that_ended_before_it_began_took_no_time():
    found = split(at(10), at(0), tools=stretches((0, 30)), waits=[])
    assert seconds_of(found) == {"model": 0, "tool": 0, "waiting": 0}
    assert found.sentence.endswith("no time")


def test_lanes_stand_where_they_happened_and_say_it():
    found = split(at(0), at(50), tools=stretches((10, 20)), waits=[])
    tool = next(lane for lane in found.lanes(timedelta(seconds=100)) if lane.kind == "tool")
    assert (tool.left, tool.width) == ("10.00%", "10.00%")
    assert tool.title == "tool 10\u202fs, after 10\u202fs"
    assert found.sentence == "50\u202fs: model 40\u202fs, tool 10\u202fs"


def test_ten_thousand_calls_are_few_bars():
    found = split(at(0), at(10_000), tools=stretches(*((n, n + 0.5) for n in range(10_000))), waits=[])
    assert found.sum_of("tool").total_seconds() == 5000
    assert len(found.lanes(found.total)) < 10
