"""JSON whose numbers keep their text: what came as `1.50`, `-0` or forty digits goes out just so.

Python would make a float of the first and lose the sign of the second; a client that compares what it stored with what
it gets back would find a difference. Keys keep their order; of a key that comes twice the last counts.
"""

import json
from collections.abc import Iterable
from typing import Any

import orjson

from sessions.models.fields import clean_json

_SURE_DIGITS = 18
"""Whole numbers of so many characters are within 64 bits."""


def exact_int(text: str) -> Any:
    """Return a whole number that is written as it was read."""
    return int(text) if len(text) <= _SURE_DIGITS and text != "-0" else orjson.Fragment(text)


def exact_float(text: str) -> Any:
    """Return a number with a fraction or an exponent that is written as it was read."""
    return orjson.Fragment(text)


def load_exact(text: str) -> Any:
    """Return the value of a JSON text, for `dump_exact` only. Raises `ValueError` or `RecursionError`."""
    return json.loads(text, parse_float=exact_float, parse_int=exact_int, parse_constant=_refuse)


def array_of(texts: Iterable[str]) -> Any:
    """Return the array of values whose JSON texts these are, for `dump_exact`; they are not read again."""
    return orjson.Fragment(f"[{','.join(texts)}]")


def load_loosely(text: str) -> Any:
    """Return the value of a text that `dump_exact` wrote, as Python has it; a number without end becomes text."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= _SURE_DIGITS else digits)


def dump_exact(value: Any) -> str:
    """Return a value as compact JSON text on one line; NUL and lone surrogates become U+FFFD."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return orjson.dumps(clean_json(value)).decode()
    # One letter is found many times as fast as six, and most texts have none.
    return orjson.dumps(clean_json(value)).decode() if "\\" in text and "\\u0000" in text else text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")
