"""Programs on a session: a key of its owner, and a socket that has said hello."""

from typing import Any

from sessions.models import Session
from tests.factories import make_key, make_session, make_user
from tests.live.sockets import Peer, in_db, program


@in_db
def session_with_key(**facts: Any) -> tuple[Session, str]:
    """Return a new session and a key of its owner, in plain."""
    user = make_user()
    key = make_key(user, **{"source": "laptop", **facts})
    return make_session(user), key.plain


async def follow(session: Session, key: str, *, after: int = 0) -> tuple[Peer, dict[str, Any]]:
    """Open a socket and return it with the frame that says hello."""
    peer = await program(f"sessions/{session.uuid}/?after={after}", key).open()
    return peer, await peer.frame()
