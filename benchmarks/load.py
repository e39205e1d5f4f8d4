"""Load over HTTP: connections that post one after the other, as agents do, with a client that costs little.

Run as a process of its own (`python -m benchmarks.load`), so that it takes no turn from the server it measures.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass

WORDS = "the agent reads a file and changes two lines of it then runs the tests again".split()  # noqa: SIM905


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


def text_of(number: int, *, length: int = 1000) -> str:
    """Return about `length` characters of words, with one that no other number has."""
    line = f"word{number} " + " ".join(WORDS[(number + place) % len(WORDS)] for place in range(length // 4))
    return line[:length]


def body_of(number: int, *, batch: int) -> bytes:
    """Return the body of one request: a message, or a batch of them."""
    messages = [{"role": "user", "content": text_of(number * batch + place)} for place in range(batch)]
    return json.dumps(messages[0] if batch == 1 else {"messages": messages}).encode()


def quantile(taken: list[float], part: float) -> float:
    """Return the value below which `part` of them lie."""
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * part))] if taken else 0.0


async def _read_status(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    if b"content-length:" in head:
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
    elif b"transfer-encoding: chunked" in head:
        while size := int((await reader.readline()).strip(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return status


async def _post(host: str, port: int, requests: list[bytes], until: float, taken: list[float]) -> int:
    """Post until the time is up; note how long each took; return how many were refused."""
    reader, writer = await asyncio.open_connection(host, port)
    failed = place = 0
    while (began := time.perf_counter()) < until:
        writer.write(requests[place % len(requests)])
        place += 1
        if await _read_status(reader) < 300:
            taken.append(time.perf_counter() - began)
        else:
            failed += 1
    writer.close()
    return failed


async def run(
    *, host: str, port: int, paths: list[str], key: str, connections: int, seconds: float, batch: int, method: str
) -> Load:
    """Post over `connections` at once for `seconds`, each to its own path if there are several."""

    def requests_of(place: int) -> list[bytes]:
        path = paths[place % len(paths)]
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"
        if method == "GET":
            return [f"{head}\r\n".encode()]
        head += "Content-Type: application/json\r\n"
        bodies = (body_of(place * 1000 + number, batch=batch) for number in range(max(2, 200 // batch)))
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
    parser.add_argument("--key", required=True)
    parser.add_argument("--method", default="POST")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(run(host="127.0.0.1", **vars(options))))))


if __name__ == "__main__":
    main()
