"""The verb without HTTP, beside neighbours that keep no index and no events."""

from functools import partial

from benchmarks.lines import Line, interleaved, is_at_least
from benchmarks.run import Run, asked


def measure(run: Run) -> list[Line]:
    """Measure one append, and a batch of a hundred, each in a process of its own."""
    with run.serve("inside") as target:
        pass  # the verb then has the database to itself
    lines = []
    for batch, part, goal in ((1, 1.0, "ahead of openai-agents"), (100, 0.5, "half of openai-agents")):
        given = (run.place, batch, run.seconds)
        taken = interleaved(
            {
                "ours": partial(asked, target.environment, "inside", "append", batch, run.seconds),
                "openai-agents": partial(run.peers.ask, "openai-agents", "openai-agents-append", *given),
                "its statements by sqlite3 alone": partial(asked, target.environment, "inside", "replay", batch),
                "google-adk": partial(run.peers.ask, "google-adk", "google-adk-append", *given),
            },
            rounds=run.rounds,
        )
        figure = float(taken.pop("ours"))
        reached = is_at_least(figure, part, taken["openai-agents"])
        lines.append(Line(f"in process, {batch} at a time", figure, "messages/s", goal, reached, taken))
    return lines
