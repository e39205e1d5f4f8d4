"""Reader of the transcripts that Claude Code keeps: one JSON object a line, one file a session (or one sub-agent).

Facts about the format and the counts to match: the data notes of the project, section "claude-code".
"""

from sessions.importers.claude_code.detection import recognises
from sessions.importers.claude_code.errands import Errands
from sessions.importers.claude_code.reader import ClaudeCodeReader

__all__ = ["ClaudeCodeReader", "Errands", "recognises"]
