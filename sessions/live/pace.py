"""The pace that a connection must keep: who is served must send its request, and take its answer, in time.

Twisted counts from the last byte, so that a byte now and then would hold a connection, and what was received of its
body, for ever; and it counts nothing while an answer is on its way, and cuts whoever needs longer than a minute for it.
"""

from typing import Any

from twisted.web.http import HTTPChannel

from sessions.live.refusals import malformed, render

HEAD_BYTES = 128 * 1024
"""Bytes that the first line and all headers of a request have at most: a query may have ten thousand words."""
_SCHEMES = (b"http://", b"https://")
_LONGEST_LENGTH = 18
"""Digits of the length of a body; Python does not read a number of any length."""
LEAST_BYTES = 16 * 1024
"""Bytes that have to pass in `timeOut` seconds as long as a request, or the rest of an answer, is longer than that."""


class Channel(HTTPChannel):
    """An HTTP connection. `timeOut` is how many seconds a client has for its next `LEAST_BYTES`, or to go on at all."""

    MAX_LENGTH = HEAD_BYTES
    totalHeadersSize = HEAD_BYTES  # noqa: N815 - Twisted's name
    _path: bytes = b"/"
    """The target of the request that comes, or came last."""
    _counted: int | None = None
    """Bytes of the request when its time was last prolonged; None: none has begun."""
    _untaken = 0
    """Bytes of the answer that the client had not taken then."""

    def lineLengthExceeded(self, _line: bytes) -> None:  # noqa: N802
        """Answer a head that goes on; Twisted would hang up."""
        self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802
        """Refuse a coding that others on the way may understand otherwise, and a length that is no number any more.

        Twisted passes over `identity`, which is none any more (RFC 9112, 7), also beside `chunked`.
        """
        name, _, value = (part.strip().lower() for part in line.partition(b":"))
        if (name, value) == (b"transfer-encoding", b"identity") or (
            name == b"content-length" and len(value) > _LONGEST_LENGTH
        ):
            self._respondToBadRequestAndDisconnect()
            return False
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Take a target that names its host, as clients of a proxy send it, for what it means (RFC 9112, 3.2.2)."""
        if self._path.lower().startswith(_SCHEMES):
            place = self._path.partition(b"://")[2]
            host = place.partition(b"/")[0].partition(b"?")[0]
            rest = place[len(host) :]
            self._path = rest if rest.startswith(b"/") else b"/" + rest
            self.requests[-1].requestHeaders.setRawHeaders(b"Host", [host])
        super().allHeadersReceived()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        """Say what is wrong in the form of the door, as far as one is known; Twisted's answer has no body."""
        refusal = malformed("its first line, its headers or the length of its body are not as HTTP has them.")
        headers, body = render(refusal, path=self._path.decode("latin1"))
        lines = b"".join(b"%b: %b\r\n" % header for header in [*headers, (b"Connection", b"close")])
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (lines, body))
        self.loseConnection()

    def resetTimeout(self) -> None:  # noqa: N802
        """Prolong the time when a request begins, and when enough of it has come since; called before each piece."""
        body = self.requests[-1].received_count if self.requests else 0
        received = self._receivedHeaderSize + body
        if self._counted is None or received >= self._counted + LEAST_BYTES:
            self._counted = received
            super().resetTimeout()

    def allContentReceived(self) -> None:  # noqa: N802
        """Let the client's time rest while it is the server's turn."""
        self._counted = None
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802
        """Begin the time in which the answer is to be taken."""
        self._untaken = self._pending()
        super().requestDone(request)

    def timeoutConnection(self) -> None:  # noqa: N802
        """Close the connection, unless it goes on taking its answer; one that does not is cut."""
        before, self._untaken = self._untaken, self._pending()
        if not self._untaken:
            super().timeoutConnection()
        elif self._counted is None and self._untaken <= before - LEAST_BYTES:
            self.setTimeout(self.timeOut)
        else:
            self.forceAbortClient()

    def _pending(self) -> int:
        """Return how many bytes of answers wait in this process; what the kernel took counts as taken."""
        if self.transport is None:
            return 0
        waiting = self.transport
        return len(waiting.dataBuffer) - int(waiting.offset) + int(waiting._tempDataLen)  # noqa: SLF001
