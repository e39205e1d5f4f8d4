"""The cases, by name: each takes its figures in turns with the limits and peers that stand beside them."""

from collections.abc import Callable

from benchmarks.cases import (
    checkpoints,
    http,
    inside,
    memory,
    pages,
    pixels,
    search,
    sockets,
    start,
    transcript,
    writers,
)
from benchmarks.lines import Line
from benchmarks.run import Run

CASES: dict[str, Callable[[Run], list[Line]]] = {
    "http": http.measure,
    "inside": inside.measure,
    "sockets": sockets.measure,
    "pixels": pixels.measure,
    "pages": pages.measure,
    "transcript": transcript.measure,
    "search": search.measure,
    "checkpoints": checkpoints.measure,
    "writers": writers.measure,
    "memory": memory.measure,
    "start": start.measure,
}
