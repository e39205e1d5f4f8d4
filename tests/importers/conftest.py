"""A Koda database for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.importers.koda_database import Koda


@pytest.fixture
def koda(tmp_path: Path) -> Iterator[Koda]:
    koda = Koda(tmp_path / "db" / "koda.db")
    yield koda
    koda.close()
