"""What all tests share: a real server, a real browser, the recorded data."""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from tests import browsers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
OWNER = "owner"
PASSWORD = "a password for tests only"
# How long an example takes to be made or tried says how busy the machine is, and nothing about the product.
hypothesis_settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("busy machine")
_STARTS_WITHIN = 60  # seconds
_ENDS_WITHIN = 60


@dataclass(frozen=True)
class Server:
    """A server process of our own, on a database of its own."""

    url: str
    port: int
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        """Run a command on the server's database and return what it printed."""
        return manage(self.environment, *arguments)

    def create_key(self, name: str, *scopes: str, user: str = OWNER) -> str:
        """Return a new API key, in plain."""
        options = [part for scope in scopes or ("write", "read") for part in ("--scope", scope)]
        return self.manage("createapikey", name, "--user", user, *options, "--plain").strip()


def manage(environment: dict[str, str], *arguments: str) -> str:
    """Run manage.py in a process of its own; fail with all it said when it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


def find_free_port() -> int:
    """Return a port that nobody listens on, without the digits that a log reader takes for a status."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if not any(code in str(port) for code in ("400", "401", "429")):
            return port


def make_environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return an environment for manage.py: the product's settings, nothing of the test run's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KODA_")}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "koda_web.settings",
        "KODA_DATA_DIR": str(data_dir),
        "KODA_RATE_LIMIT": "off",
        **settings,
    }


def start_server(data_dir: Path, *, port: int | None = None, **settings: str) -> Server:
    """Set up data_dir, where that is still to do, and serve it; the caller stops the server."""
    return launch(data_dir, prepare(data_dir, **settings), port=port or find_free_port())


def prepare(data_dir: Path, **settings: str) -> dict[str, str]:
    """Set up data_dir, where that is still to do, and return the environment of its server."""
    environment = make_environment(data_dir, **settings)
    if "KODA_DATABASE_URL" in settings or any(data_dir.glob("*.sqlite3")):
        set_up(environment)
    else:
        shutil.copytree(_template(), data_dir, dirs_exist_ok=True)
    return environment


@functools.cache
def _template() -> Path:
    """Set a folder up to be copied: migrations and static files take seconds, and are the same for all servers."""
    folder = Path(tempfile.mkdtemp(prefix="koda-template-"))
    atexit.register(shutil.rmtree, folder)
    set_up(make_environment(folder))
    return folder


def set_up(environment: dict[str, str]) -> None:
    """Run setup, and give its user a password that the tests know."""
    manage(environment, "setup")
    create = (  # a user who has signed in before, and has chosen a password
        "from django.contrib.auth import get_user_model as model; from django.utils.timezone import now\n"
        f"user = model().objects.get(username={OWNER!r})\n"
        f"user.set_password({PASSWORD!r}); user.last_login = now(); user.save()"
    )
    manage(environment, "shell", "--no-imports", "--command", create)


def launch(
    data_dir: Path, environment: dict[str, str], *, port: int, command: Sequence[str] = ("manage.py",)
) -> Server:
    """Serve what is set up already; the caller stops the server."""
    log = data_dir / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command, "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", port, data_dir, log, process, environment)
    try:
        wait_until_it_answers(server)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


def wait_until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            httpx.get(f"{server.url}/healthz", timeout=2, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the server did not start:\n{server.log.read_text(errors='replace')[-5000:]}")


def stop_server(server: Server) -> None:
    """End the server as an init system would; it must drain and leave with 0."""
    server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
        code = None
    tail = server.log.read_text(errors="replace")[-5000:]
    assert code == 0, f"the server ended with {code}:\n{tail}"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Django's test database, let go by everybody before it is dropped: the pool, and threads that went astray."""
    yield
    if connection.vendor != "postgresql":
        return
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()
    connection.close_pool()


@pytest.fixture
def own_counts(settings: Settings) -> None:
    """Count in a corner of the cache that nobody else uses: other processes may share the cache itself."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": f"test-{uuid.uuid4()}"}}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server on SQLite, with the user "owner" and PASSWORD."""
    running = start_server(tmp_path_factory.mktemp("server"))
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A browser; of module scope, so that Playwright's event loop is gone before other tests start theirs."""
    from playwright.sync_api import sync_playwright

    path = browsers.find()
    if path is None:
        pytest.fail(browsers.NOT_FOUND)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=browsers.FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded sessions beside the checkout; tests that need it skip without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recorded sessions are not beside this checkout")
    return folder
