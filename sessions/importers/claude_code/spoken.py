"""Lines of the conversation itself: what the user said, what tools gave back, what the model answered."""

from collections.abc import Iterator

from sessions.importers.claude_code.blocks import answer_part, blocks, result_text, shown
from sessions.importers.claude_code.desk import Desk, message
from sessions.importers.claude_code.errands import TOOL_NAMES, Errand
from sessions.importers.claude_code.prompts import kind_of_user_line, kind_of_words
from sessions.importers.claude_code.thread import Thread
from sessions.importers.fields import JsonObject, count, flag, identifier, inner, moment, text
from sessions.importers.records import ImportedLink, ImportedMessage, Kind, Record, Usage

_SYNTHETIC = "<synthetic>"
_REFUSAL = "The user doesn't want to "


def take_user(line: JsonObject, thread: Thread, desk: Desk) -> Iterator[Record]:
    """Yield the results of tool calls that a user line carries, then its words."""
    line_id = desk.line_id(line, thread)
    if line_id is None:
        return
    content = blocks(inner(line, "message").get("content"))
    results = [block for block in content if block.get("type") == "tool_result"]
    for number, block in enumerate(results, start=1):
        yield from _take_result(line, thread, desk, block=block, client_id=f"{line_id}:{number}")
    others = [block for block in content if block.get("type") != "tool_result"]
    if others or not results:
        yield from _take_words(line, thread, desk, words=shown(others), client_id=line_id, is_beside=bool(results))


def _take_result(
    line: JsonObject, thread: Thread, desk: Desk, *, block: JsonObject, client_id: str
) -> Iterator[Record]:
    """Yield the result of one call, and the link to the sub-agent that the call started."""
    call_id = identifier(block.get("tool_use_id"))
    is_repeated = call_id in thread.answered_calls
    content, is_error = result_text(block), flag(block, "is_error")
    thread.answered_calls.add(call_id)
    desk.tally.repeated_results += is_repeated
    yield from thread.hold(
        ImportedMessage(
            session_key=thread.key,
            client_id=client_id,
            role="tool",
            kind="repeated_result" if is_repeated else "result",
            content=content,
            tool_call_id=call_id,
            is_error=is_error,
            is_rejected=is_error and content.startswith(_REFUSAL),
            created_at=moment(line.get("timestamp")),
        )
    )
    outcome = inner(line, "toolUseResult")
    agent_id = identifier(outcome.get("agentId"))
    if agent_id is None or call_id is None:
        return
    desk.errands.of_call(call_id, session_key=thread.key)
    yield ImportedLink(
        session_key=f"{thread.parent_key or thread.key}/agent-{agent_id}",
        parent_key=thread.key,
        parent_tool_call_id=call_id,
        agent_name=identifier(outcome.get("agentType")),
    )


def _take_words(
    line: JsonObject, thread: Thread, desk: Desk, *, words: str, client_id: str, is_beside: bool
) -> Iterator[Record]:
    """Yield the words of a user line; those beside a result were typed while the tool ran."""
    kind: Kind = "queued" if is_beside and kind_of_words(words) == "prompt" else kind_of_user_line(line, words=words)
    said = message(line, thread, kind=kind, client_id=client_id, content=words)
    if kind in {"prompt", "queued", "errand"}:
        thread.note_words(words)
    if kind == "errand" and thread.facts.errand is None and thread.parent_key is not None:
        thread.facts.errand = desk.errands.claim(words, session_key=thread.parent_key)
    if kind in {"prompt", "echo"} and not is_beside:
        yield from thread.interrupt(said)
    else:
        yield from thread.hold(said)


def take_assistant(line: JsonObject, thread: Thread, desk: Desk) -> Iterator[Record]:
    """Yield the answer before this one if this line begins another; keep this line until its answer is complete."""
    line_id = desk.line_id(line, thread)
    if line_id is None:
        return
    said = inner(line, "message")
    content = blocks(said.get("content"))
    model = identifier(said.get("model"))
    is_made_up = model == _SYNTHETIC
    if model is not None and not is_made_up:
        thread.facts.model = model
    for block in content:
        _note_errand(block, thread, desk)
    answer_key = _answer_key(line, message_id=identifier(said.get("id"))) or line_id
    opening = ImportedMessage(
        session_key=thread.key,
        client_id=line_id,
        role="assistant",
        kind="answer",
        model=None if is_made_up else model,
        created_at=moment(line.get("timestamp")),
        answer_key=answer_key,
    )
    part = answer_part(
        content,
        index=thread.next_index(answer_key),
        line_id=line_id,
        usage=None if is_made_up else _usage(inner(said, "usage")),
    )
    yield from thread.extend(opening, part)


def _answer_key(line: JsonObject, *, message_id: str | None) -> str | None:
    """Return what the lines of one answer have in common; None when they carry no id."""
    if message_id is None:
        return None
    return identifier(f"{message_id}/{identifier(line.get('requestId')) or '-'}")


def _note_errand(block: JsonObject, thread: Thread, desk: Desk) -> None:
    """Remember a call that sends a sub-agent out."""
    call_id, arguments = identifier(block.get("id")), inner(block, "input")
    prompt = text(arguments, "prompt")
    if call_id is None or prompt is None or text(block, "name") not in TOOL_NAMES:
        return
    errand = Errand(
        tool_call_id=call_id,
        prompt=prompt,
        agent_name=identifier(arguments.get("subagent_type")),
        title=identifier(arguments.get("description")),
    )
    desk.errands.send(errand, session_key=thread.key)


def _usage(figures: JsonObject) -> Usage | None:
    """Return the token counts of an answer, None when the line has none. `iterations` repeats them and is left out."""
    if "input_tokens" not in figures and "output_tokens" not in figures:
        return None
    return Usage(
        prompt_tokens=count(figures, "input_tokens"),
        completion_tokens=count(figures, "output_tokens"),
        cache_read_tokens=count(figures, "cache_read_input_tokens"),
        cache_creation_tokens=count(figures, "cache_creation_input_tokens"),
    )
