"""The nouns. Each module holds QuerySet, Manager and Model; here they are only gathered."""

from sessions.models.alarm import Alarm, AlarmKind
from sessions.models.api_key import ApiKey, NewKey, Scope
from sessions.models.audit import SHELL, Action, AuditEntry, who
from sessions.models.checkpoint import Checkpoint, CheckpointPiece
from sessions.models.command import Command, CommandStatus
from sessions.models.counted import TOKEN_NAMES, TokenCounts
from sessions.models.delivery import Delivery, DeliveryKind
from sessions.models.destroyed import Destroyed
from sessions.models.event import SERVER_PREFIX, Event, EventAlias, EventDraft
from sessions.models.figure_sum import EVERYBODY, PUBLIC, FigureMark, FigureSum
from sessions.models.file import File
from sessions.models.footprint import Footprint, FootprintMark
from sessions.models.idempotency import StoredAnswer
from sessions.models.lease import Lease
from sessions.models.looping import LOOPS_FROM, Loop, LoopKind
from sessions.models.message import SHOWN, Message, Octets, Role
from sessions.models.message_alias import MessageAlias
from sessions.models.metadata import TODO_KEY, Metadata
from sessions.models.place import Place, PlaceName
from sessions.models.preference import Preference
from sessions.models.purged_calls import PurgedCalls
from sessions.models.purged_messages import PurgedIds, PurgedMessages
from sessions.models.purged_session import PurgedSession
from sessions.models.receipt import Receipt
from sessions.models.request import Request, RequestStatus
from sessions.models.search_entry import SearchEntry
from sessions.models.session import Session
from sessions.models.session_births import Started
from sessions.models.session_rows import Band, Mode, Status, Visibility
from sessions.models.share import Share
from sessions.models.tool_call import Outcome, ToolCall, telling_argument
from sessions.models.turn import Turn, TurnEnd
from sessions.models.unindexed import Unindexed
from sessions.models.usage import MAIN_AGENT, Usage
from sessions.models.watched import Liveness, Needs, State
from sessions.models.webhook import Webhook

__all__ = [
    "EVERYBODY",
    "LOOPS_FROM",
    "MAIN_AGENT",
    "PUBLIC",
    "SERVER_PREFIX",
    "SHELL",
    "SHOWN",
    "TODO_KEY",
    "TOKEN_NAMES",
    "Action",
    "Alarm",
    "AlarmKind",
    "ApiKey",
    "AuditEntry",
    "Band",
    "Checkpoint",
    "CheckpointPiece",
    "Command",
    "CommandStatus",
    "Delivery",
    "DeliveryKind",
    "Destroyed",
    "Event",
    "EventAlias",
    "EventDraft",
    "FigureMark",
    "FigureSum",
    "File",
    "Footprint",
    "FootprintMark",
    "Lease",
    "Liveness",
    "Loop",
    "LoopKind",
    "Message",
    "MessageAlias",
    "Metadata",
    "Mode",
    "Needs",
    "NewKey",
    "Octets",
    "Outcome",
    "Place",
    "PlaceName",
    "Preference",
    "PurgedCalls",
    "PurgedIds",
    "PurgedMessages",
    "PurgedSession",
    "Receipt",
    "Request",
    "RequestStatus",
    "Role",
    "Scope",
    "SearchEntry",
    "Session",
    "Share",
    "Started",
    "State",
    "Status",
    "StoredAnswer",
    "TokenCounts",
    "ToolCall",
    "Turn",
    "TurnEnd",
    "Unindexed",
    "Usage",
    "Visibility",
    "Webhook",
    "telling_argument",
    "who",
]
