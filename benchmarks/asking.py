"""How late a server answers one request after the other: what a page costs at the server, HTTP included."""

import time

import httpx


def taken_ms(client: httpx.Client, path: str, *, count: int, **params: str) -> list[float]:
    """Get a path again and again and return how many milliseconds each answer took; the first look does not count."""
    client.get(path, params=params or None).raise_for_status()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        answer = client.get(path, params=params or None)
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    return taken
