"""A small ASGI application under our server class, as a process of its own: the server without Django.

The first argument is JSON with the server's limits. Prints "PORT <n>" when it listens.
"""

import asyncio
import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

from asgiref.sync import sync_to_async

from sessions.live.admission import Admission
from sessions.live.backpressure import INLET
from sessions.live.lanes import Lanes
from sessions.live.server import Server, exit_soon

sys.stdout.reconfigure(line_buffering=True)
running = 0
most = 0
server: Server


def tell(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def count_spooled():
    """Return how many unnamed temporary files are open: the bodies that are held on disk."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    names = [str(link.readlink()) for link in links]
    return len([name for name in names if name.startswith(tempfile.gettempdir()) and "(deleted)" in name])


def memory():
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await serve_socket(scope, receive, send)
        return
    size = await read(receive)
    answer, status = await PAGES[scope["path"].rpartition("/")[2]](scope, size)
    body = answer.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read(receive):
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return size


async def serve_socket(scope, receive, send):
    await receive()
    if scope["path"] == "/reject":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    if scope["path"] != "/stranger":
        scope["extensions"][INLET].let_in()
    await (take_slowly if scope["path"] == "/slow" else echo)(receive, send)


async def take_slowly(receive, send):
    """Say how long each message is, each after a while."""
    while (message := await receive())["type"] != "websocket.disconnect":
        await asyncio.sleep(0.01)
        await send({"type": "websocket.send", "text": str(len(message["text"]))})


async def echo(receive, send):
    """Send back what comes, and do what some of it asks for."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            tell("SOCKET LEFT", message["code"])
            return
        if message["text"] == "thread":
            name = await sync_to_async(lambda: time.sleep(0.02) or threading.current_thread().name)()
            await send({"type": "websocket.send", "text": name})
        elif message["text"].startswith("flood "):
            count, size = map(int, message["text"].split()[1:])
            for number in range(count):
                await send({"type": "websocket.send", "text": str(100 + number % 100).ljust(size)})
                tell("FLOOD", number + 1, "sent")
        else:
            await send({"type": "websocket.send", "text": message["text"]})


async def size(scope, size):
    return str(size), 200


async def slow(scope, size):
    """Take as many seconds as the query says, and tell the log before and after."""
    tell("BEGUN", scope["path"])
    await asyncio.sleep(float(scope["query_string"] or b"0.5"))
    tell("DONE", scope["path"])
    return "whole", 200


async def block(scope, size):
    """Do the same on a thread, and say which and how many did it at once."""

    def work():
        global running, most  # noqa: PLW0603
        running += 1
        most = max(most, running)
        tell("BEGUN", scope["path"])
        time.sleep(float(scope["query_string"] or b"0.05"))
        running -= 1
        return threading.current_thread().name

    return await sync_to_async(work)(), 200


async def wait(scope, size):
    """Wait until the server drains."""
    tell("BEGUN", scope["path"])
    await scope["extensions"]["koda.draining"].wait()
    return "nothing yet", 200


async def big(scope, size):
    tell("BEGUN", scope["path"])
    return "x" * (8 * 1024 * 1024), 200


async def fail(scope, size):
    raise ZeroDivisionError


async def state(scope, size):
    ended = [details for details in server.connections.values() if "disconnected" in details]
    threads = [thread.name for thread in threading.enumerate()]
    facts = {"most": most, "threads": threads, "spooled": count_spooled(), "ended": len(ended), "memory": memory()}
    facts |= {"host": dict(scope["headers"])[b"host"].decode(), "query": scope["query_string"].decode()}
    facts |= {"root": scope["root_path"], "held": server.held, "in_memory": server.in_memory}
    return json.dumps(facts), 200


async def status(scope, size):
    """Answer with the status that the query says."""
    return "", int(scope["query_string"])


async def sleep(scope, size):
    """Wait, deaf to the end of the server."""
    tell("BEGUN", scope["path"])
    await asyncio.sleep(60)
    return "late", 200


PAGES = {
    "size": size,
    "slow": slow,
    "block": block,
    "wait": wait,
    "big": big,
    "fail": fail,
    "state": state,
    "status": status,
    "commands": sleep,
}


class Noisy:
    """Background work that tells when it is started and stopped."""

    async def start(self):
        tell("BACKGROUND STARTED")

    async def stop(self):
        tell("BACKGROUND STOPPED")


def main():
    global server  # noqa: PLW0603
    options = {"admitted": 4, "queued": 8, "max_body": 1024 * 1024, "client_seconds": 60, "drain_seconds": 10}
    options |= json.loads(sys.argv[1])
    admission = Admission(application, admitted=options.pop("admitted"), queued=options.pop("queued"))
    sockets = Lanes(application, count=2)

    async def route(scope, receive, send):
        await (sockets if scope["type"] == "websocket" else admission)(scope, receive, send)

    server = Server(
        route,
        host="127.0.0.1",
        port=0,
        listening=lambda _, port: tell("PORT", port),
        background=[Noisy()],
        **options,
    )
    server.run()
    tell("ENDED")
    exit_soon()


if __name__ == "__main__":
    main()
