"""Messages as they come in and go out, and the tokens that they report."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from sessions.api.json_format import Time
from sessions.api.native.fields import WrittenJson
from sessions.models import TOKEN_NAMES, Message, TokenCounts
from sessions.transcripts import MessageDraft
from sessions.wire import Count, Name, TimeIn, Written

RoleWord = Literal["system", "user", "assistant", "tool"]
MOST_MESSAGES = 1000


class UsageIn(BaseModel):
    """The tokens of one model call; a count that is absent is 0."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_creation_tokens: Count = 0
    thinking_tokens: Count = 0

    def counts(self) -> TokenCounts | None:
        """Return the counts, told and untold; None when none of the five was told."""
        if not self.model_fields_set:
            return None
        return TokenCounts(**self.model_dump(), unknown=frozenset(TOKEN_NAMES) - self.model_fields_set)


class MessageIn(BaseModel):
    """A message to append. What this server does not know is passed over, so that newer agents get in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"role": "user", "content": "Make the build faster."},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c1", "function_name": "Bash", "arguments": '{"command": "make -j8"}'}],
                    "usage": {"prompt_tokens": 1200, "completion_tokens": 40},
                    "client_id": "7f0c",
                },
            ]
        }
    )

    role: RoleWord
    content: Written | None = Field(default=None, description="null and an empty text are different things.")
    tool_calls: WrittenJson | None = Field(default=None, description="Kept as sent; [] is not null.")
    tool_call_id: Name | None = None
    usage: UsageIn | None = None
    agent_name: Name | None = Field(default=None, description="Whose tokens these are; absent counts as main.")
    client_id: Annotated[Name, Field(min_length=1)] | None = Field(
        default=None, description="The client's own id; a repeat is not stored again."
    )
    created_at: TimeIn | None = Field(default=None, description="When it was written, if not now.")

    def draft(self) -> MessageDraft:
        """Return it as the verb takes it."""
        usage = None if self.usage is None else self.usage.counts()
        return MessageDraft(**{**vars(self), "usage": usage})


class MessagesIn(BaseModel):
    """A batch; all of it is stored or nothing."""

    messages: list[MessageIn] = Field(max_length=MOST_MESSAGES)


def _which(body: Any) -> str:
    return "(batch)" if isinstance(body, dict) and "messages" in body else "(one)"


OneOrMore = Annotated[Annotated[MessageIn, Tag("(one)")] | Annotated[MessagesIn, Tag("(batch)")], Discriminator(_which)]


class AppendedOut(BaseModel):
    """The ids of the messages, in order; a duplicate gives the id that it has."""

    model_config = ConfigDict(from_attributes=True)

    ids: list[int] = Field(examples=[[4711, 4712]])
    duplicates: int = Field(examples=[0])


class TokensOut(BaseModel):
    """Five sums or counts of tokens."""

    prompt_tokens: int
    completion_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    thinking_tokens: int


class MessageOut(BaseModel):
    """A message."""

    id: int
    session_id: str
    role: str = Field(description="One of the four; messages that came otherwise may have another.")
    content: str | None
    tool_calls: Any = Field(description="The array as it was sent.")
    tool_call_id: str | None
    usage: TokensOut | None
    agent_name: str | None
    client_id: str | None
    created_at: Time
    compacted_at: Time | None = Field(description="When a compaction took it out of the context.")

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """Return what to show of a message that came with its session's public id as `session_uuid`."""
        usage = message.usage
        return cls.model_construct(
            id=message.pk,
            session_id=str(message.session_uuid),  # type: ignore[attr-defined] # annotated by the route
            role=message.role,
            content=message.content,
            tool_calls=message.tool_calls,
            tool_call_id=message.tool_call_id,
            usage=None if usage is None else TokensOut(**usage.as_dict()),
            agent_name=message.agent_name,
            client_id=message.client_id,
            created_at=message.created_at,
            compacted_at=message.compacted_at,
        )


class ContentOut(BaseModel):
    """The text of a message; empty when there is none."""

    content: str = Field(examples=["Done: the build takes 40 s."])


class PendingOut(BaseModel):
    """The calls that wait for a result."""

    pending: bool = Field(description="Koda's rule: the newest message in the context asks for tools.")
    tool_calls: list[str] = Field(description="All call ids in the context without a result.", examples=[["c1"]])


class UsageOut(TokensOut):
    """Tokens ever used, and by how many model calls."""

    api_calls: int


class AgentUsageOut(UsageOut):
    """The tokens of one agent."""

    agent_name: str = Field(examples=["main"])


class SessionUsageOut(BaseModel):
    """The tokens of a session; no purge lowers them."""

    total: UsageOut
    by_agent: list[AgentUsageOut] = Field(description="The largest prompt + completion first.")
