"""Files that a command makes of what is stored, and the entry of the audit log that tells of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_if_noted(path: Path) -> Iterator[None]:
    """Remove the new file at `path` when what is done within fails: nobody takes a copy that no log tells of."""
    try:
        yield
    except BaseException:
        path.unlink()
        raise
