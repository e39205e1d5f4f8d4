"""The lock that goes in turn."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from sessions.live.fair_lock import FairLock

PATIENCE_SECONDS = 30


def wait_until(lock: FairLock, *, waiting: int) -> None:
    """Give other threads time until so many wait."""
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 1000):
        if lock.waiting == waiting:
            return
        pause.wait(0.001)
    pytest.fail(f"{lock.waiting} wait, not {waiting}")


def test_it_goes_to_who_has_waited_longest_and_not_to_who_asks_again():
    lock, order = FairLock(), []

    def take(name: str) -> None:
        with lock:
            order.append(name)

    with ThreadPoolExecutor(max_workers=3) as threads:
        with lock:
            waiting = []
            for count, name in enumerate(("first", "second", "third"), start=1):
                waiting.append(threads.submit(take, name))
                wait_until(lock, waiting=count)
        take("again")  # at once, before any of them has woken up
        for one in waiting:
            one.result(PATIENCE_SECONDS)
    assert order == ["first", "second", "third", "again"]


def test_nobody_is_in_it_with_another_and_an_error_gives_it_back():
    lock, inside, most = FairLock(), [], []

    def work() -> None:
        for number in range(200):
            with suppress(ZeroDivisionError), lock:
                inside.append(number)
                most.append(len(inside))
                inside.pop()
                _ = 1 / (number % 3)

    with ThreadPoolExecutor(max_workers=4) as threads:
        for one in [threads.submit(work) for _ in range(4)]:
            one.result(PATIENCE_SECONDS)
    assert most == [1] * 800
    assert lock.waiting == 0
    with lock:
        assert lock.waiting == 0


def test_who_waits_no_longer_than_it_said_leaves_the_line():
    lock = FairLock()
    with ThreadPoolExecutor(max_workers=1) as thread:
        with lock:
            assert thread.submit(lock.acquire, timeout=0.01).result(PATIENCE_SECONDS) is False
            assert lock.waiting == 0
        with lock:  # it has not gone to who left
            pass
        assert thread.submit(lock.acquire, timeout=0.01).result(PATIENCE_SECONDS) is True


def test_nobody_gives_back_what_another_has():
    lock = FairLock()
    with ThreadPoolExecutor(max_workers=1) as thread, lock, pytest.raises(AssertionError):
        thread.submit(lock.release).result(PATIENCE_SECONDS)
