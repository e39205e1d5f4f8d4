"""Every case of `make bench`, with little data and no neighbours: it must not rot between two looks at the figures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import ground
from benchmarks.__main__ import BEGIN, END, with_figures
from benchmarks.cases import CASES
from benchmarks.lines import Line, NotRun, interleaved, is_at_least, table
from benchmarks.run import TINY, Run

NOT_INSTALLED = "not run: not installed"
TRUTHS = ("lost", "gaps in seq", "failed of", "queries")
"""What must hold with any data, on any machine."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with ground.product(tmp_path_factory.mktemp("shared")) as shared:
        yield Run(Path(), rounds=1, seconds=0.1, size=TINY, shared=shared)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_figures(run, name, tmp_path):
    lines = CASES[name](replace(run, place=tmp_path))
    figures = {line.what: line for line in lines}
    assert len(figures) >= len([line for line in lines if not line.what.startswith("the same")])
    for line in lines:
        assert line.ours >= 0
        assert len(line.cells()) == 5
        assert line.is_reached or not any(truth in line.what for truth in TRUTHS), line
    beside = [value for line in lines for value in line.beside.values()]
    assert set(filter(lambda value: isinstance(value, str), beside)) <= {NOT_INSTALLED}
    assert table(lines).count("\n") == len(lines) + 1


def test_a_neighbour_that_cannot_be_run_is_named_and_judges_nothing():
    asked = []

    def gone() -> float:
        asked.append(1)
        raise NotRun("not installed")

    taken = interleaved({"ours": lambda: 5.0, "theirs": gone}, rounds=3)
    assert taken == {"ours": 5.0, "theirs": NOT_INSTALLED}
    assert len(asked) == 1
    assert is_at_least(5.0, 4, taken["theirs"]) is None
    line = Line("a figure", 5.0, "a second", "ahead", is_at_least(5.0, 4, taken["theirs"]), {"theirs": taken["theirs"]})
    assert line.cells() == ["a figure", "5 a second", f"theirs {NOT_INSTALLED}", "ahead", "-"]


def test_the_median_of_rounds_counts():
    values = iter([9.0, 1.0, 2.0])
    assert interleaved({"ours": lambda: next(values)}, rounds=3) == {"ours": 2.0}


def test_a_case_that_is_measured_again_leaves_the_figures_of_the_others():
    page = f"Above\n{BEGIN}\n{END}\nBelow\n"
    for case, figures in (("sockets", "| old |"), ("http", "| a |"), ("sockets", "| new |")):
        page = with_figures(page, case, figures)
    assert page == f"Above\n{BEGIN}\n### `http`\n\n| a |\n\n### `sockets`\n\n| new |\n{END}\nBelow\n"
