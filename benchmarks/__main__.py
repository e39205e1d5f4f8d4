"""`python -m benchmarks [CASE …]`: measure, print the table, and with --write keep it in docs/performance.md."""

import argparse
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import ground
from benchmarks.cases import CASES, Run
from benchmarks.lines import Line, table
from koda_web import sqlite

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
PACKAGES = ("django", "channels", "daphne", "django-ninja", "twisted")


def main() -> None:
    """Run the cases that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="which to run; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median counts")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts")
    parser.add_argument("--peers", type=Path, help="the interpreter of the neighbours' environment")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {PAGE.name}")
    options = parser.parse_args()
    lines: list[Line] = []
    for name in options.cases or CASES:
        with ground.folder() as place:
            lines += CASES[name](Run(place, options.rounds, options.seconds, options.peers))
    print(table(lines))
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n{conditions()}\n\n{table(lines)}\n{END}{after}")


def conditions() -> str:
    """Return in a sentence under which versions the figures were taken."""
    sqlite.use_fixed_library()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    day = datetime.now(UTC).date()
    return f"{day}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}."


if __name__ == "__main__":
    main()
