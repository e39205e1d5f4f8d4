"""Sockets of programs: JSON, by a key in the header or in the first frame."""

import asyncio
import json
from functools import partial

from sessions import commands
from sessions.exceptions import Forbidden, InvalidRequest, KodaError, RateLimited
from sessions.live import callers, frames, inbound
from sessions.live.asgi_types import Message
from sessions.live.backpressure import INLET
from sessions.live.consumers.socket import SessionSocket, Socket
from sessions.live.feeds import Feed, ProgramFeed
from sessions.live.hub import GONE, MAY_NOT_SEE, SIGN_IN, TOO_MANY, Refused
from sessions.live.threads import reading, writing
from sessions.models import Session
from sessions.models.filtering import Words

KEY_SECONDS = 10
"""Within this a program has to show its key."""
SOCKETS_A_USER = 2_000

_LONGEST_KEY_FRAME = 1_000


class ProgramSocket(Socket):
    """A socket of a program. Until it has shown its key, it may say nothing else."""

    kind = "program"
    limit = SOCKETS_A_USER

    def __init__(self) -> None:
        super().__init__()
        self._is_in = False
        self._deadline: asyncio.TimerHandle | None = None

    async def enter(self) -> None:
        """Let in who has a key in the header, or wait for the first frame."""
        header = next((value for name, value in self.scope["headers"] if name.lower() == b"authorization"), None)
        if header is None:
            self._deadline = asyncio.get_running_loop().call_later(KEY_SECONDS, self.shut, SIGN_IN)
            return
        scheme, _, plain = header.decode("latin1").partition(" ")
        await self._let_in(plain.strip() if scheme.lower() == "bearer" else "")

    async def take(self, message: Message) -> None:
        """Take the key, or a frame of one who is in."""
        text = message.get("text") or ""
        if self._is_in:
            await self.hear(text)
            return
        await self._let_in(_key_in(text))

    async def _let_in(self, plain: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        try:
            caller = await writing(partial(callers.of_key, plain, self.scope)) if plain else None
        except RateLimited:
            raise Refused(TOO_MANY) from None
        if caller is None:
            raise Refused(SIGN_IN)
        self.caller = caller
        if (inlet := self.scope.get("extensions", {}).get(INLET)) is not None:
            inlet.let_in()
        await self.welcome()
        self._is_in = True
        self.begin()

    async def _leave(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        await super()._leave()

    async def welcome(self) -> None:
        """See what the caller may do here, join the hub and say hello. Raises `Refused`."""
        raise NotImplementedError

    async def hear(self, text: str) -> None:
        """Take a frame."""
        raise NotImplementedError

    async def refuse(self, error: KodaError, text: str) -> None:
        """Say why a frame was not taken."""
        await self.send_frame(frames.error_of(error, frame_id=inbound.id_of(text)))


class SessionProgram(ProgramSocket, SessionSocket):
    """One session: its events to a key that may read; events and heartbeats from one that may write.

    Its own agent gets commands, too, and acknowledges them.
    """

    _feed = ProgramFeed()

    def __init__(self) -> None:
        super().__init__()
        self._asked_at = -1
        """The seq up to which commands were looked for."""

    @property
    def feed(self) -> Feed:
        """Return the one form for programs."""
        return self._feed

    async def welcome(self) -> None:
        """Let in whoever may read or write the session; of what the user may not see, nothing is said."""
        session = await reading(Session.objects.filter(uuid=self.session_uuid).first)
        if session is None or not session.may_be_read_by(self.caller.user):
            raise Refused(GONE)
        if not (self.caller.may_read(session) or self.caller.may_change(session)):
            raise Refused(MAY_NOT_SEE)
        await self.follow(session)
        hello = frames.hello(session)
        hello["last_seq"] = self.hub.newest(session.pk)
        await self.send_frame(hello)

    async def deliver(self) -> None:
        """Send all that is new, commands first; of the log nothing to a key that may only write."""
        await self._hand_over()
        while self.caller.may_read(self.session) and (batch := await self.next_batch()):
            for text in batch.texts:
                await self.send_text(text)

    async def _hand_over(self) -> None:
        """Send what people ask of the agent, when this is the agent and the log has grown since the last look."""
        newest = self.hub.newest(self.session.pk)
        if newest <= self._asked_at or not self.caller.is_agent_of(self.session):
            return
        self._asked_at = newest
        if not await self.hub.has_commands(self.session.pk):
            return
        for command in await writing(partial(commands.take, self.session.pk)):
            await self.send_frame(frames.command_of(command))

    async def hear(self, text: str) -> None:
        """Do what the frame says and answer it."""
        try:
            answer = await writing(partial(self._obey, text))
        except KodaError as error:
            await self.refuse(error, text)
        else:
            await self.send_frame(answer)

    def _obey(self, text: str) -> frames.AckFrame:
        self.caller.count_frame()
        if not self.caller.may_change(self.session):
            raise Forbidden("This key may not write to this session.")
        frame = inbound.parse(text)
        if frame.command_ack is not None and not self.caller.is_agent_of(self.session):
            raise Forbidden("Commands go to a write key of the session's own source.")
        return inbound.obey(frame, session_id=self.session.pk)


class BoardProgram(ProgramSocket):
    """The board: one pulse for each change of a session that the key may read."""

    wants_html = False
    words: Words = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self._changed: dict[int, None] = {}
        self._gone: dict[int, Session] = {}

    async def welcome(self) -> None:
        """Let in whoever may read."""
        if self.caller.key is None or not self.caller.key.can_read:
            raise Refused(MAY_NOT_SEE)
        await self.hub.join_board(self, kind=self.kind, limit=self.limit)
        await self.send_frame(frames.hello())

    def notice(self, pk: int) -> None:
        """Note a pulse to send."""
        self._gone.pop(pk, None)
        self._changed[pk] = None
        self.poke()

    def notice_gone(self, pk: int, session: Session | None) -> None:
        """Note a session that is out of sight; of one that nothing is known of, nothing can be told."""
        self._changed.pop(pk, None)
        if session is not None:
            self._gone[pk] = session
            self.poke()

    async def deliver(self) -> None:
        """Send a pulse of each session as it is now."""
        while self._gone:
            _, session = self._gone.popitem()
            await self.send_text(frames.encode(frames.gone_pulse(session)))
        for pk in list(self._changed):
            self._changed.pop(pk, None)
            row = self.hub.board.row(pk, self)
            if row is not None and self.caller.sees(row.session):
                await self.send_text(row.pulse)

    async def hear(self, text: str) -> None:
        """Nothing can be said to the board."""
        try:
            await writing(self.caller.count_frame)
        except RateLimited as error:
            await self.refuse(error, text)
        else:
            await self.refuse(InvalidRequest("This socket takes no frames."), text)


def _key_in(text: str) -> str:
    """Return the key of a first frame, or an empty text when it has none."""
    try:
        key = json.loads(text)["key"] if len(text) <= _LONGEST_KEY_FRAME else ""
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return key if isinstance(key, str) else ""
