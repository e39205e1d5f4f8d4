"""Lines that stand beside the conversation: compactions, notices, queued prompts, titles."""

from collections.abc import Iterator

from sessions.importers.claude_code.blocks import blocks, shown
from sessions.importers.claude_code.desk import Desk, digest, message
from sessions.importers.claude_code.prompts import kind_of_words
from sessions.importers.claude_code.thread import Thread
from sessions.importers.fields import JsonObject, count, identifier, inner, moment, text
from sessions.importers.records import ImportedCompaction, Kind, Record


def take_system(line: JsonObject, thread: Thread, desk: Desk) -> Iterator[Record]:
    """Yield a compaction, or what the program told the user; measurements are passed over."""
    subtype = text(line, "subtype") or "no subtype"
    words = text(line, "content") or _error_words(line)
    if subtype != "compact_boundary" and words is None:
        desk.tally.passed_over[f"system/{subtype}"] += 1
        return
    line_id = desk.line_id(line, thread)
    if line_id is None:
        return
    if subtype != "compact_boundary":
        yield from thread.hold(message(line, thread, kind="notice", client_id=line_id, content=words or ""))
        return
    facts = inner(line, "compactMetadata")
    yield from thread.interrupt(
        ImportedCompaction(
            session_key=thread.key,
            client_id=line_id,
            trigger=identifier(facts.get("trigger")) or "unknown",
            pre_tokens=count(facts, "preTokens") or None,
            at=moment(line.get("timestamp")),
        )
    )


def _error_words(line: JsonObject) -> str | None:
    """Return what an error line says."""
    error = inner(line, "error")
    words = text(error, "formatted") or text(error, "message") or text(inner(inner(error, "error"), "error"), "message")
    return f"Error: {words}" if words else None


def take_attachment(line: JsonObject, thread: Thread, desk: Desk) -> Iterator[Record]:
    """Yield a prompt that was typed while the agent worked; other attachments are the program's own notes."""
    attachment = inner(line, "attachment")
    kind = identifier(attachment.get("type")) or "no type"
    if kind != "queued_command":
        desk.tally.passed_over[f"attachment/{kind}"] += 1
        return
    line_id = desk.line_id(line, thread)
    if line_id is None:
        return
    words = shown(blocks(attachment.get("prompt")))
    thread.delivered[words] -= 1
    if thread.delivered[words] < 0:
        yield from _queued(line, thread, words=words, client_id=line_id)


def take_queue_operation(line: JsonObject, thread: Thread, _desk: Desk) -> Iterator[Record]:
    """Yield a queued prompt that was handed to the agent in mid-turn and that no other line tells of.

    Old clients write no more than `remove` then. Newer ones also write an attachment, before or after; `delivered`
    counts how often each text came by the one way (above zero) or by the other (below).
    """
    operation = text(line, "operation")
    if operation == "enqueue":
        thread.queue.append((text(line, "content") or "", text(line, "timestamp") or ""))
    if operation not in {"dequeue", "remove"} or not thread.queue:
        return
    words, queued_at = thread.queue.popleft()
    if operation == "dequeue" or not words:
        return
    thread.delivered[words] += 1
    if thread.delivered[words] > 0:
        yield from _queued(line, thread, words=words, client_id=f"queued-{digest([words, queued_at])}")


def _queued(line: JsonObject, thread: Thread, *, words: str, client_id: str) -> Iterator[Record]:
    """Yield words that reached the agent between two of its answers."""
    kind: Kind = "queued" if kind_of_words(words) == "prompt" else "notice"
    yield from thread.hold(message(line, thread, kind=kind, client_id=client_id, content=words))


def take_pull_request(line: JsonObject, thread: Thread, _desk: Desk) -> Iterator[Record]:
    """Yield a note of the pull request that the session opened; the line is written again and again."""
    url = text(line, "prUrl")
    if url is None or thread.unique_id(f"pr-{digest(url)}", line=url) is None:
        return
    words = f"Pull request #{count(line, 'prNumber')}: {url}"
    yield from thread.hold(message(line, thread, kind="notice", client_id=f"pr-{digest(url)}", content=words))


def take_title(line: JsonObject, thread: Thread, _desk: Desk) -> Iterator[Record]:
    """Take over the title that a person gave, or the model; yields nothing by itself."""
    thread.facts.custom_title = text(line, "customTitle") or thread.facts.custom_title
    thread.facts.ai_title = text(line, "aiTitle") or thread.facts.ai_title
    yield from ()
