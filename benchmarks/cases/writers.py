"""Eight writers on one session for a minute: no error, and no gap in its log."""

from functools import partial

from benchmarks import neighbours
from benchmarks.lines import Line, NotRun, Taken
from benchmarks.run import Run, asked

_WRITERS = 8
_PEER_SECONDS = 10


def measure(run: Run) -> list[Line]:
    """Measure how many requests failed, and what the session's log lacks; google-adk for a shorter while."""
    seconds = run.size.writer_seconds
    with run.serve("writers") as target:
        with target.agent() as agent:
            session = agent.post("/api/v1/sessions", json={"agent_name": "bench"}).raise_for_status().json()["id"]
        load = target.load(sessions=[session], seconds=seconds, connections=_WRITERS)
        log = asked(target.environment, "looks", "gaps", session)
    assert log["counted"] == log["stored"] == load.answered, (log, load)
    beside: dict[str, Taken] = {}
    with neighbours.adk(run.peers, run.place) as adk:
        attempt = partial(adk.load, sessions=adk.sessions[:1], connections=_WRITERS)
        try:
            theirs = attempt(seconds=min(seconds, _PEER_SECONDS))
        except NotRun as reason:
            beside["google-adk"] = str(reason)
        else:
            beside["google-adk"] = theirs.failed * 100 / (theirs.failed + theirs.answered)
    what = f"eight writers on one session, {seconds:g} s"
    failed = load.failed * 100 / (load.failed + load.answered)
    rate = f"{what}, failed of {load.failed + load.answered:,} requests"
    missing = float(log["missing"])
    return [
        Line(rate, failed, "%", "none", load.failed == 0, beside),
        Line("the same, gaps in seq", missing, "", "none", missing == 0),
    ]
