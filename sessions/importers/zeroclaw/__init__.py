"""Readers of what ZeroClaw keeps: `sessions.db`, `acp-sessions.db`, and one `*.jsonl` a session.

The source of what they mean is contracts/zeroclaw.md, sections 2 and 6.
"""

from sessions.importers.zeroclaw.acp import AcpReader
from sessions.importers.zeroclaw.database import AcpDatabase, ZeroClawDatabase
from sessions.importers.zeroclaw.jsonl import JsonlReader, recognises_lines
from sessions.importers.zeroclaw.reader import ZeroClawReader

__all__ = ["AcpDatabase", "AcpReader", "JsonlReader", "ZeroClawDatabase", "ZeroClawReader", "recognises_lines"]
