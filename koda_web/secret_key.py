"""The secret key that is made once and kept in the data folder."""

import contextlib
import os
import secrets
from pathlib import Path


def read_or_create(path: Path) -> str:
    """Return the key kept at path; make it, readable by its owner alone, if there is none yet.

    Two processes that start at once get the same key: the finished file appears under its name in one
    step, and whoever comes second reads what the first one wrote.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    make_private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


def make_private_folder(path: Path) -> None:
    """Make the folder, with its parents, closed to other users; leave one that exists as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
