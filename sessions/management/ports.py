"""Ports as people name them at the shell."""

from argparse import ArgumentTypeError

LARGEST_PORT = 65_535


def port_number(text: str) -> int:
    """Return the port, 0 for any that is free. Raises `ArgumentTypeError`."""
    if not (text.isdecimal() and int(text) <= LARGEST_PORT):
        msg = f"{text} is no port: it is a number up to {LARGEST_PORT}"
        raise ArgumentTypeError(msg)
    return int(text)
