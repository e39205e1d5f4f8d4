"""The secret key that is made once and kept in the data folder."""

import contextlib
import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def read_or_create(path: Path) -> str:
    """Return the key kept at path; make it, readable by its owner alone, if there is none yet.

    Raises ImproperlyConfigured when it can be neither read nor made, or when the file is empty.

    Two processes that start at once get the same key: the finished file appears under its name in one
    step, and whoever comes second reads what the first one wrote.
    """
    try:
        key = _read_or_create(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        msg = (
            f"Koda Web cannot start: the secret key {path} can be neither read nor made ({reason}).\n"
            "  Name a folder that this user may write in KODA_DATA_DIR, or the key in KODA_SECRET_KEY."
        )
        raise ImproperlyConfigured(msg) from error
    if not key:
        msg = (
            f"Koda Web cannot start: the secret key {path} is empty.\n"
            "  Put back the one you keep elsewhere; or remove the file, and all sign-ins and API keys are void."
        )
        raise ImproperlyConfigured(msg)
    return key


def _read_or_create(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    make_private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(descriptor)  # after a power cut a name without its content would be an empty key
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


def make_private_folder(path: Path) -> None:
    """Make the folder, with its parents, closed to other users; leave one that exists as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
