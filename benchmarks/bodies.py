"""What is posted: messages of a kilobyte, in the form in which the product and a neighbour take them."""

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

_LETTERS = "etaoinshrdlucmfwgpybvk"
_VOCABULARY = 5_000
_LINES = 997
"""Texts that differ in more than their own word; a prime, so that no batch has the same ones again."""


@cache
def _words() -> list[str]:
    """Return the vocabulary, of short words and long ones."""
    dice = random.Random(1)
    return ["".join(dice.choices(_LETTERS, k=dice.randint(2, 10))) for _ in range(_VOCABULARY)]


@cache
def _line(number: int, length: int) -> str:
    """Return words as people use them: few of them often, most of them seldom."""
    dice, words = random.Random(number), _words()
    return " ".join(words[int(_VOCABULARY * dice.random() ** 3)] for _ in range(length // 4))


def text_of(number: int, *, length: int = 1000) -> str:
    """Return about `length` characters of words: one that no other number has, one that all have, and others."""
    return f"word{number} agent {_line(number % _LINES, length)}"[:length].rstrip()


def state_of(count: int) -> list[dict[str, str]]:
    """Return the first `count` messages of a history that grows: people and agent in turn."""
    return [{"role": ("user", "assistant")[number % 2], "content": text_of(number)} for number in range(count)]


def _messages(number: int, batch: int) -> Any:
    messages = [{"role": "user", "content": text_of(number * batch + place)} for place in range(batch)]
    return messages[0] if batch == 1 else {"messages": messages}


def _adk_turn(number: int, _batch: int) -> Any:
    """Return what google-adk's /run takes; `load` puts the session's name in."""
    return {"appName": "bench", "userId": "u", "newMessage": _adk_content(text_of(number))}


def _adk_events(number: int, batch: int) -> Any:
    texts = (text_of(number * batch + place) for place in range(batch))
    return {"events": [{"author": "user", "content": _adk_content(text)} for text in texts]}


def _adk_content(text: str) -> Any:
    return {"role": "user", "parts": [{"text": text}]}


SHAPES: dict[str, Callable[[int, int], Any]] = {
    "messages": _messages,
    "adk-turn": _adk_turn,
    "adk-events": _adk_events,
}


def body_of(number: int, *, batch: int, shape: str = "messages", **more: str) -> bytes:
    """Return the body of one request: a message or a batch of them, and what else stands on its top level."""
    return json.dumps({**SHAPES[shape](number, batch), **more}).encode()
