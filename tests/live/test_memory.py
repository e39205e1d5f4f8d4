import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.live import memory
from sessions.live.keeper import jobs
from tests.conftest import ROOT


class _Held:
    """Something that holds itself, as sockets and requests do through their callbacks."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def calm() -> Iterator[None]:
    thresholds = gc.get_threshold()
    memory.calm_collector()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("calm")
def test_what_grew_old_before_it_was_dropped_is_given_back() -> None:
    held = _Held()
    seen = weakref.ref(held)
    gc.collect(1)  # As when it lived through the looks of the collector: now only a whole round finds it.
    gc.collect(1)
    del held
    gc.collect(1)
    assert seen() is not None
    memory.give_back()
    assert seen() is None


@pytest.mark.usefixtures("calm")
def test_what_was_loaded_at_the_start_is_not_looked_at_again() -> None:
    assert len(gc.get_objects()) < 10_000
    assert gc.get_freeze_count() > 100_000


_TURN_BUFFERS_OVER = """
import resource, sys, threading
from sessions.live import memory

def turn_over():
    for _ in range(50):
        held = [b"x" * 1_000_000 for _ in range(5)]
        del held

def faults_of_a_thread():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=turn_over)
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1:] == ["kept"]:
    memory.keep_buffers()
faults_of_a_thread()
print(faults_of_a_thread())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_buffers_of_a_megabyte_are_not_asked_of_the_system_again_and_again() -> None:
    def faults(*arguments: str) -> int:
        command = [sys.executable, "-c", _TURN_BUFFERS_OVER, *arguments]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)

    assert faults() > 20 * faults("kept")


@pytest.mark.django_db
def test_the_keeper_gives_memory_back() -> None:
    assert memory.give_back in [job.run for job in jobs()]


def test_the_client_of_redis_is_loaded_only_where_one_is_named(tmp_path: Path) -> None:
    look = (
        "import sys, django; django.setup(); import koda_web.asgi, sessions.management.commands.serve;"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        "print(sorted(name for name in ('redis', 'channels_redis') if name in sys.modules))"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "koda_web.settings", "PATH": "", "KODA_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]", done.stderr
