"""What a user line is: typed by a person, or put in by the program."""

import re

from sessions.importers.fields import JsonObject, flag
from sessions.importers.records import Kind, Role

# Openings of lines that stand among the prompts but were written by the program.
_ECHOES = (
    "<local-command-stdout>",
    "<local-command-stderr>",
    "<bash-stdout>",
    "<bash-stderr>",
    "<task-notification>",
    "[Request interrupted",
)
# Openings of what a person typed in another form than plain words.
_COMMANDS = ("<command-name>", "<command-message>", "<bash-input>")

_COMMAND_NAME = re.compile(r"<command-name>\s*(/?[^<\s][^<]{0,60}?)\s*</command-name>")

ROLES: dict[Kind, Role] = {
    "prompt": "user", "queued": "user", "errand": "user",
    "echo": "system", "meta": "system", "summary": "system", "notice": "system",
    "answer": "assistant", "result": "tool", "repeated_result": "tool",
}  # fmt: skip


def kind_of_user_line(line: JsonObject, *, words: str) -> Kind:
    """Return what a user line without a tool result is; `words` is its text."""
    if flag(line, "isCompactSummary"):
        return "summary"
    if flag(line, "isMeta"):
        return "meta"
    if flag(line, "isSidechain"):
        return "errand"
    return kind_of_words(words)


def kind_of_words(words: str) -> Kind:
    """Return whether a prompt is a person's or an echo of the program."""
    return "echo" if words.startswith(_ECHOES) else "prompt"


def is_plain(words: str) -> bool:
    """Say whether these are plain words, fit for a title."""
    return bool(words.strip()) and not words.startswith(_ECHOES + _COMMANDS)


def command_of(words: str) -> str | None:
    """Return the slash command that these words are an echo of, such as `/init`."""
    found = _COMMAND_NAME.search(words)
    return found[1] if found else None
