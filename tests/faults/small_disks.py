"""A PostgreSQL of our own on two disks so small that they can be filled: one for the data, one for its log (WAL)."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.conftest import find_free_port

ACCOUNT = "postgres"
"""Whose processes they are: PostgreSQL refuses to be root, and only root may mount."""
PATIENCE_SECONDS = 60
_SIZES = {"data": "120m", "wal": "24m"}
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_FOUND = shutil.which("initdb") or (str(_PLACES[-1] / "initdb") if _PLACES else None)
needs_small_disks = pytest.mark.skipif(
    _FOUND is None or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="needs PostgreSQL's own programs, and root to mount a disk",
)


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL."""

    place: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://{ACCOUNT}@127.0.0.1:{self.port}/postgres"

    @contextmanager
    def full(self, disk: str) -> Iterator[None]:
        """Leave no byte free on one of the disks; at the end there is room again, and PostgreSQL runs."""
        filler = self.place / disk / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12):
                    _write_until_it_is_full(file, bytes(size))
            if disk == "wal":
                self._use_up_the_log()
            yield
        finally:
            filler.unlink()
            self._be_there()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
            "min_wal_size": "2MB", "shared_buffers": "16MB",
        }  # fmt: skip
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._run("pg_ctl", "--pgdata", self._data, "--log", str(self.place / "log"), "--options", options, "start")

    def stop(self) -> None:
        """Stop it, if it has not ended by itself."""
        if self._runs():
            self._run("pg_ctl", "--pgdata", self._data, "--mode", "immediate", "stop")

    def create(self) -> None:
        """Make the disks and the files on them."""
        for disk, size in _SIZES.items():
            folder = self.place / disk
            folder.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
            if subprocess.run(mount, capture_output=True, check=False).returncode:
                pytest.skip("no disk may be mounted here")
            shutil.chown(folder, ACCOUNT)
        wal = str(self.place / "wal" / "files")
        options = ["--username", ACCOUNT, "--auth", "trust", "--no-sync", "--wal-segsize", "1", "--waldir", wal]
        self._run("initdb", "--pgdata", self._data, *options)

    def remove(self) -> None:
        """Let the disks go."""
        for disk in _SIZES:
            subprocess.run(["umount", "--lazy", str(self.place / disk)], capture_output=True, check=False)
        shutil.rmtree(self.place)

    @property
    def _data(self) -> str:
        return str(self.place / "data" / "files")

    def _use_up_the_log(self) -> None:
        """Write into the log what has no other trace, until the files that were there beforehand are used up."""
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, autocommit=True) as connection:
            while True:
                connection.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")

    def _be_there(self) -> None:
        """Start it, where it gave up, as an init system would, and wait until it has recovered."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if not self._runs():
                self.start()
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        pytest.fail((self.place / "log").read_text(errors="replace")[-3000:])

    def _runs(self) -> bool:
        command = self._command("pg_ctl", "--pgdata", self._data, "status")
        return subprocess.run(command, user=ACCOUNT, cwd="/", capture_output=True, check=False).returncode == 0

    def _run(self, *words: str) -> None:
        # Without pipes: the server would keep them, and nobody would see their end.
        with (self.place / "said").open("ab") as said:
            command = self._command(*words)
            done = subprocess.run(command, user=ACCOUNT, group=ACCOUNT, cwd="/", stdout=said, stderr=said, check=False)
        assert done.returncode == 0, (self.place / "said").read_text(errors="replace")[-3000:]

    @staticmethod
    def _command(program: str, *options: str) -> Sequence[str]:
        return [str(Path(_FOUND or "").with_name(program)), *options]


def _write_until_it_is_full(file, block: bytes) -> None:
    try:
        while file.write(block) == len(block):
            pass
    except OSError:
        return


@contextmanager
def small_cluster() -> Iterator[Cluster]:
    """Yield a PostgreSQL on small disks that has nothing in it yet."""
    place = Path(tempfile.mkdtemp(prefix="koda-small-", dir="/tmp"))  # pytest's own folders are closed to others
    place.chmod(0o755)
    shutil.chown(place, ACCOUNT)
    cluster = Cluster(place, find_free_port())
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        cluster.remove()
