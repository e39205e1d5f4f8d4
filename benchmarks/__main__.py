"""`python -m benchmarks`: measure, print the tables, and with --write keep them in docs/performance.md."""

import argparse
import os
import platform
import re
import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import ground
from benchmarks.cases import CASES
from benchmarks.lines import Line, table
from benchmarks.run import FULL, TINY, Peers, Run

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
PACKAGES = ("django", "channels", "daphne", "django-ninja", "twisted")


def main() -> None:
    """Run the cases that were named, or all."""
    options = _options()
    peers = Peers(tuple(options.peers))
    size = TINY if options.tiny else FULL
    if options.writers:
        size = replace(size, writer_seconds=options.writers)
    found: dict[str, list[Line]] = {}
    for name in options.only.split(",") if options.only else CASES:
        began = time.monotonic()
        with ground.folder() as place:
            run = Run(place, options.rounds, options.seconds, size, peers, options.postgresql)
            found[name] = CASES[name](run)
        print(f"{table(found[name])}\n({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
        if options.write:
            PAGE.write_text(with_figures(PAGE.read_text(), name, f"{conditions(peers)}\n\n{table(found[name])}"))
    print(f"{conditions(peers)}\n\n{table([line for lines in found.values() for line in lines])}")


def with_figures(page: str, case: str, figures: str) -> str:
    """Return the page with these figures of a case; those of other cases stay as they were measured."""
    before, _, rest = page.partition(BEGIN)
    inside, _, after = rest.partition(END)
    pieces = re.split(r"^### `(\w+)`$", inside, flags=re.MULTILINE)
    kept = {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)} | {case: figures}
    sections = "\n\n".join(f"### `{name}`\n\n{kept[name]}" for name in CASES if name in kept)
    return f"{before}{BEGIN}\n{sections}\n{END}{after}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="CASE,…", help=f"which to run; all by default: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median counts")
    parser.add_argument("--seconds", type=float, default=3, help="how long each load lasts")
    parser.add_argument("--writers", type=float, metavar="SECONDS", help="how long eight write to one session")
    parser.add_argument("--tiny", action="store_true", help="with little data, to see that all cases work")
    parser.add_argument(
        "--peers", type=Path, action="append", default=[], metavar="PYTHON", help="an interpreter of the neighbours"
    )
    parser.add_argument(
        "--postgresql", default=os.environ.get("KODA_BENCH_DATABASE_URL"), metavar="URL",
        help="a server on which a database is made, and dropped at the end; or KODA_BENCH_DATABASE_URL",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help=f"keep the tables in {PAGE.name}")
    options = parser.parse_args()
    unknown = set(options.only.split(",") if options.only else []) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def conditions(peers: Peers) -> str:
    """Return in a sentence under which versions, and on how many cores, the figures were taken."""
    ours = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    theirs = ", ".join(f"{name} {number}" for name, number in sorted(peers.versions.items())) or "none"
    day, cores = datetime.now(UTC).date(), os.cpu_count()
    return (
        f"{day}, {cores} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {ours}. "
        f"Neighbours: {theirs}."
    )


if __name__ == "__main__":
    main()
