"""Asking on a terminal before something is destroyed or ended."""

import sys

from django.core.management.base import CommandError


def confirm(question: str, *, without_terminal: str, refused: str) -> None:
    """Ask; raise `CommandError` with `refused` unless the answer is yes, with the other when nobody is there to ask."""
    if not sys.stdin.isatty():
        raise CommandError(without_terminal)
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise CommandError(refused)
