"""Sockets that watch one session while events are posted to it: `python -m benchmarks.watchers`; prints JSON.

Each event says when it was sent; each socket notes when it came, on the clock of the same machine.
"""

import argparse
import asyncio
import json
import time

import httpx
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.load import quantile

OPENING = 50
"""Handshakes at once."""
PATIENCE_SECONDS = 20


async def _watch(socket: ClientConnection, expected: int, taken: list[float]) -> int:
    """Note how long each event was on its way; return how many came."""
    came = 0
    while came < expected:
        frame = json.loads(await socket.recv())
        if frame.get("type") == "info":
            taken.append(time.time() - float(frame["message"]))
            came += 1
    return came


async def run(*, port: int, key: str, session: str, sockets: int, rate: float, seconds: float) -> dict[str, float]:
    """Open the sockets, post events at a steady rate, and return what reached them, and how late."""
    headers = {"Authorization": f"Bearer {key}"}
    gate = asyncio.Semaphore(OPENING)

    async def opened() -> ClientConnection:
        async with gate:
            address = f"ws://127.0.0.1:{port}/ws/api/v1/sessions/{session}/"
            socket = await connect(address, additional_headers=headers, open_timeout=60, proxy=None)
            await socket.recv()  # hello
            return socket

    watchers = await asyncio.gather(*(opened() for _ in range(sockets)))
    expected, taken = int(rate * seconds), []
    following = [asyncio.create_task(_watch(socket, expected, taken)) for socket in watchers]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as agent:
        began = time.perf_counter()
        for number in range(expected):
            await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
            event = {"type": "info", "message": repr(time.time())}
            (await agent.post(f"/api/v1/sessions/{session}/events", json={"events": [event]})).raise_for_status()
    await asyncio.wait(following, timeout=PATIENCE_SECONDS)
    for task in following:
        task.cancel()
    await asyncio.gather(*(socket.close() for socket in watchers))
    return {
        "lost": expected * sockets - len(taken), "delivered": len(taken),
        "p50_ms": quantile(taken, 0.5) * 1000, "p99_ms": quantile(taken, 0.99) * 1000,
    }  # fmt: skip


def main() -> None:
    """Watch, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    print(json.dumps(asyncio.run(run(**vars(parser.parse_args())))))


if __name__ == "__main__":
    main()
