"""The corpus: what agents, tools and repositories might write to do harm, each by the name of what it tries.

`corpus.json` holds the texts. One that is long is written as a text that is repeated so many times, with what stands
before and after it; what stands after it may be long, too.
"""

import json
from pathlib import Path
from typing import Any


def _whole(text: Any) -> str:
    if isinstance(text, str):
        return text
    return str(text.get("before", "") + text["text"] * text["times"] + _whole(text.get("after", "")))


CORPUS: dict[str, str] = {
    name: _whole(text) for name, text in json.loads((Path(__file__).parent / "corpus.json").read_text("ascii")).items()
}
