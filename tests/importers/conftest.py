"""A database of Koda or ZeroClaw for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.importers.koda_database import Koda
from tests.importers.zeroclaw_files import ZeroClaw


@pytest.fixture
def koda(tmp_path: Path) -> Iterator[Koda]:
    koda = Koda(tmp_path / "db" / "koda.db")
    yield koda
    koda.close()


@pytest.fixture
def claw(tmp_path: Path) -> Iterator[ZeroClaw]:
    claw = ZeroClaw(tmp_path / "data" / "sessions.db")
    yield claw
    claw.close()
