"""Load over HTTP: connections that post one after the other, as agents do, with a client that costs little.

Run as a process of its own (`python -m benchmarks.load`), so that it takes no turn from the server it measures.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass

from benchmarks.bodies import SHAPES, body_of
from benchmarks.lines import quantile


@dataclass(frozen=True, slots=True)
class Load:
    """What a load did: requests answered as wished, others, and how long each took."""

    answered: int
    failed: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def a_second(self) -> float:
        """Requests a second."""
        return self.answered / self.seconds


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer to its end and return its status and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"content-length:" in lower:
        return int(head[9:12]), await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n", 1)[0]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return int(head[9:12]), body


async def _post(host: str, port: int, requests: list[bytes], until: float, taken: list[float]) -> int:
    """Post again and again until the moment, note how long each took, and return how many failed."""
    reader, writer = await asyncio.open_connection(host, port)
    failed = place = 0
    while (began := time.perf_counter()) < until:
        writer.write(requests[place % len(requests)])
        place += 1
        try:
            status, _ = await read_answer(reader)
        except (asyncio.IncompleteReadError, ConnectionError):  # some servers end with a failure's connection
            status = 500
            reader, writer = await asyncio.open_connection(host, port)
        if status < 300:
            taken.append(time.perf_counter() - began)
        else:
            failed += 1
    writer.close()
    return failed


async def run(
    *, port: int, paths: list[str], key: str, connections: int, seconds: float, batch: int, shape: str,
    sessions: list[str] | None = None,
) -> Load:  # fmt: skip
    """Post over `connections` at once for `seconds`, each to its own path if there are several.

    `sessions` are named in the bodies, where the path does not say to which one a message goes.
    """
    host = "127.0.0.1"

    def requests_of(place: int) -> list[bytes]:
        path = paths[place % len(paths)]
        named = {"sessionId": sessions[place % len(sessions)]} if sessions else {}
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"
        head += "Content-Type: application/json\r\n"
        numbers = range(max(2, 200 // batch))
        bodies = [body_of(place * 1000 + number, batch=batch, shape=shape, **named) for number in numbers]
        return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]

    taken: list[float] = []
    prepared = [requests_of(place) for place in range(connections)]
    began = time.perf_counter()
    failed = await asyncio.gather(*(_post(host, port, requests, began + seconds, taken) for requests in prepared))
    lasted = time.perf_counter() - began
    return Load(
        len(taken), sum(failed), lasted,
        quantile(taken, 0.5) * 1000, quantile(taken, 0.95) * 1000, quantile(taken, 0.99) * 1000,
    )  # fmt: skip


def main() -> None:
    """Run one load and print what it did as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", action="append", dest="paths", required=True)
    parser.add_argument("--session", action="append", dest="sessions")
    parser.add_argument("--key", required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--shape", choices=SHAPES, default="messages")
    print(json.dumps(asdict(asyncio.run(run(**vars(parser.parse_args()))))))


if __name__ == "__main__":
    main()
