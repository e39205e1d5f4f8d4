"""What all tests share: a real server, a real browser, the recorded data."""

import atexit
import fcntl
import functools
import itertools
import os
import random
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
HURRIED = ("-m", "tests.hurried")
"""The command of a server whose beats and patience are short enough to be waited for."""
_STARTS_WITHIN = 30  # seconds
_ENDS_WITHIN = 25
_WORKERS = 64
"""As many workers of one run have ports of their own."""
_TEMPLATE = "TESTS_TEMPLATE"
"""The variable that tells all workers of a run where the template of data folders is."""


_FAST = Path("/dev/shm")
_FAST_BYTES = 4_000_000_000
"""As much has to be free there for the data of servers that tests start: what no power cut reaches needs no disk."""


def pytest_configure(config: pytest.Config) -> None:
    """Give the workers of this run one place for the template, and the data of all tests a fast one."""
    config.add_cleanup(_remove_logs)
    if _TEMPLATE in os.environ:
        return
    if os.access(_FAST, os.W_OK) and shutil.disk_usage(_FAST).free > _FAST_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_FAST))
    os.environ[_TEMPLATE] = tempfile.mkdtemp(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))
    config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(_TEMPLATE)))


def _remove_logs() -> None:
    """Remove what stays of a test database that is gone, when a thread that went astray still had it open: its log."""
    name = connection.settings_dict["TEST"]["NAME"]
    if connection.vendor == "sqlite" and not Path(name).exists():
        for rest in ("-wal", "-shm"):
            Path(f"{name}{rest}").unlink(missing_ok=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: whoever is done early then finds something left to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.get_closest_marker("browser") is None))


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


@functools.cache
def _ports() -> Iterator[int]:
    """Yield ports that no other worker is given, without the digits that a log reader takes for a status.

    All are below those that systems give to connections that go out: one of these would else take the port of a server
    that is about to listen again.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(10_000 + worker % _WORKERS, 32_768, _WORKERS)
    fit = [port for port in ports if not any(code in str(port) for code in ("400", "401", "429"))]
    return itertools.cycle(random.SystemRandom().sample(fit, len(fit)))


def find_free_port() -> int:
    """Return a port that nobody listens on."""
    for port in _ports():
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError  # a cycle has no end


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


def start_server(data_dir: Path, *, command: Sequence[str] = ("manage.py",), **settings: str) -> Server:
    """Set up data_dir, where that is still to do, and serve it; the caller stops the server."""
    return launch(data_dir, prepare(data_dir, **settings), port=find_free_port(), command=command)


def prepare(data_dir: Path, **settings: str) -> dict[str, str]:
    """Set up data_dir, where that is still to do, and return the environment of its server."""
    environment = make_environment(data_dir, **settings)
    is_elsewhere = "KODA_DATABASE_URL" in settings
    if not any(data_dir.glob("*.sqlite3")):
        left_out = shutil.ignore_patterns("*.sqlite3*", "secret-key") if is_elsewhere else None
        shutil.copytree(template().folder, data_dir, dirs_exist_ok=True, ignore=left_out)
    if is_elsewhere:
        set_up(environment)
    return environment


@dataclass(frozen=True)
class Template:
    """A data folder that is set up, and what was said of it when it was."""

    folder: Path
    told: str


@functools.cache
def template() -> Template:
    """Return a folder to be copied: migrations and static files take seconds, and are the same for all servers."""
    if (place := os.environ.get(_TEMPLATE)) is None:
        atexit.register(shutil.rmtree, place := tempfile.mkdtemp(prefix="koda-template-"))
    folder, told = Path(place, "data"), Path(place, "told")
    with Path(place, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            told.write_text(set_up(make_environment(folder)))
    return Template(folder, told.read_text())


def set_up(environment: dict[str, str]) -> str:
    """Run setup, and give its user a password that the tests know; return what setup said."""
    create = (  # a user who has signed in before, and has chosen a password
        "from django.contrib.auth import get_user_model as model; from django.utils.timezone import now\n"
        "from django.core.management import call_command\n"
        "call_command('setup')\n"
        f"user = model().objects.get(username={OWNER!r})\n"
        f"user.set_password({PASSWORD!r}); user.last_login = now(); user.save()"
    )
    return manage(environment, "shell", "--no-imports", "--command", create)


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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--new-looks", action="store_true", help="keep how each page looks now, to compare with later")


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
    own = f"test-{uuid.uuid4()}"
    settings.CACHES = {name: {**cache, "KEY_PREFIX": own} for name, cache in settings.CACHES.items()}


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
