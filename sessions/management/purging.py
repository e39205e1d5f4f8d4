"""What the four commands that purge have in common: preview, question, progress, one sentence of what was done."""

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from sessions import retention
from sessions.exceptions import InvalidRequest
from sessions.management.adrift import count_of
from sessions.management.asking import confirm
from sessions.management.stopping import until_told_to_stop
from sessions.retention import Policy, Preview, Purged, Rule
from sessions.retention.rows import spell_rows
from sessions.templatetags.ages import size as spell_size
from sessions.templatetags.cleartext import on_one_line

BY = "shell"
_TELL_SECONDS = 0.5


class PurgeCommand(BaseCommand):
    """A command that purges by one policy, over the sessions of everybody."""

    policy: ClassVar[Policy]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the age, filters, and how to go about it."""
        if self.policy is Policy.STALE:
            parser.add_argument("--ttl", metavar="HOURS", dest="age", type=int, required=True, help="hours without use")
            parser.add_argument("--include-running", action="store_true", help="also sessions whose agent works")
            parser.add_argument("--force", action="store_true", help="take 0 hours for an answer: every session goes")
        else:
            parser.add_argument(
                "--older-than", metavar="DAYS", dest="age", type=int, required=True, help="days, strictly more"
            )
        parser.add_argument("--project", metavar="PATH", default="", help="only sessions of the project at this path")
        parser.add_argument("--source", metavar="NAME", default="", help="only sessions of this installation")
        parser.add_argument("--dry-run", action="store_true", help="say what would be destroyed, and destroy nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
        parser.add_argument(
            "--vacuum", action="store_true",
            help="then rewrite the database, so that its files shrink and keep nothing of what was destroyed",
        )  # fmt: skip

    def handle(self, **options: Any) -> None:
        """Preview, ask, purge, report."""
        rule = _rule(self.policy, options)
        found = retention.preview(rule)
        if not options["json"]:
            self._show(found)
        if options["dry_run"]:
            if options["json"]:
                self.stdout.write(json.dumps(_as_json(found)))
            return
        if found.count and not options["yes"]:
            confirm(
                f"Destroy {count_of(found.count, rule.policy.noun)} for good?",
                without_terminal="Nobody is here to ask: say --yes to destroy them.",
                refused="Destroyed nothing.",
            )
        try:
            purged = self._purge(rule, found)
            is_emptied = self._vacuum(purged) if options["vacuum"] and purged.is_complete else None
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {error}. Run it again to go on.") from error
        self.stdout.write(json.dumps(_as_told(purged, is_emptied)) if options["json"] else _sentence(rule, purged))
        if not purged.is_complete:
            raise CommandError("Told to stop before the end. Run it again to go on.")
        if is_emptied is False:
            raise CommandError("Somebody reads the database: its log could not be emptied. Run it again with --vacuum.")

    def _show(self, found: Preview) -> None:
        """Say what would go, the largest first."""
        for one in found.largest:
            title = on_one_line(one.session.display_title)  # agents wrote it: no escapes to a terminal
            self.stdout.write(f"{one.session.uuid}  {one.count:>9,}  {spell_size(one.size):>9}  {title}")
        if found.session_count > len(found.largest):
            self.stdout.write(f"and {count_of(found.session_count - len(found.largest), 'more session')}")
        if found.kept:
            self.stdout.write(f"{count_of(found.kept)} due will stay, because one below stays.")
        self.stdout.write(
            f"This would destroy {_told(found.rule.policy, found.counts, found.session_count, found.size)}."
        )

    def _purge(self, rule: Rule, found: Preview) -> Purged:
        """Purge, with progress where somebody looks; Ctrl-C ends it after a whole batch."""
        told_at = time.monotonic()

        def tell(done: int, of: int) -> None:
            nonlocal told_at
            if sys.stderr.isatty() and time.monotonic() - told_at > _TELL_SECONDS:
                told_at = time.monotonic()
                self.stderr.write(f"{done:,} of {count_of(of)}", ending="\r")

        with until_told_to_stop() as told:
            return retention.purge(rule, by=BY, previewed=found.count, tell=tell, is_told_to_stop=told.is_set)

    def _vacuum(self, purged: Purged) -> bool:
        """Rewrite the database; say whether its log could be emptied."""
        is_emptied = retention.give_back()
        if purged.receipt.is_kept:
            purged.receipt.note_size(retention.stored_bytes())
        return is_emptied


def _rule(policy: Policy, options: dict[str, Any]) -> Rule:
    """Return the rule that the options make. Raises `CommandError`."""
    try:
        return Rule(
            policy=policy,
            age=options["age"],
            include_running=options.get("include_running", False),
            is_forced=options.get("force", False),
            project=options["project"],
            source=options["source"],
        )
    except InvalidRequest as invalid:
        option = "--ttl" if policy is Policy.STALE else "--older-than"
        hint = " with --force" if options["age"] == 0 else ""
        raise CommandError(f"{option}: {invalid.errors[0].message}{hint}.") from None


def _sentence(rule: Rule, purged: Purged) -> str:
    """Return what was done."""
    if not purged.counts:
        return f"Destroyed nothing: nothing was {rule.words}."
    return f"Destroyed {_told(rule.policy, purged.counts, len(purged.session_ids), purged.size)}."


def _told(policy: Policy, counts: dict[str, int], session_count: int, size: int) -> str:
    """Return what a purge takes, in words: `3 messages of 1 session, with 2 tool calls, 120 B of text`."""
    main = counts.get(policy.table, 0)
    parts = [count_of(main, policy.noun)]
    if policy.table != "sessions" and main:
        parts[0] += f" of {count_of(session_count)}"
    beside = [spell_rows(table, count) for table, count in counts.items() if count and table != policy.table]
    if beside:
        parts.append(f"with {', '.join(beside)}")
    return ", ".join([*parts, f"{spell_size(size)} of text"])


def _as_json(found: Preview) -> dict[str, Any]:
    """Return a preview for scripts."""
    return {
        "policy": found.rule.policy,
        "dry_run": True,
        "counts": found.counts,
        "session_count": found.session_count,
        "bytes": found.size,
        "kept": found.kept,
        "oldest": found.oldest.isoformat() if found.oldest else None,
        "newest": found.newest.isoformat() if found.newest else None,
    }


def _as_told(purged: Purged, is_emptied: bool | None) -> dict[str, Any]:  # noqa: FBT001 - three-valued
    """Return a receipt for scripts."""
    receipt = purged.receipt
    return {
        "policy": receipt.policy,
        "dry_run": False,
        "receipt": str(receipt.uuid) if receipt.is_kept else None,
        "counts": purged.counts,
        "session_count": len(purged.session_ids),
        "bytes": purged.size,
        "complete": purged.is_complete,
        "vacuumed": is_emptied,
        "bytes_before": receipt.bytes_before,
        "bytes_after": receipt.bytes_after,
    }
