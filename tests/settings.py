"""Settings under which the tests run: the product's own, in places that belong to this run alone."""

import os
import tempfile
from pathlib import Path

# The developer's own configuration must not decide a test; a database or Redis named on purpose may.
_KEPT = {"KODA_DATABASE_URL", "KODA_REDIS_URL", "KODA_TEST_DB_SUFFIX"}
for _name in [name for name in os.environ if name.startswith("KODA_") and name not in _KEPT]:
    del os.environ[_name]
_SUFFIX = os.environ.pop("KODA_TEST_DB_SUFFIX", "") or str(os.getpid())
_FAST = Path("/dev/shm")
_PLACE = _FAST if os.access(_FAST, os.W_OK) else Path(tempfile.gettempdir())
# One a process: who shares a key and a Redis hears of each other's sessions.
os.environ["KODA_SECRET_KEY"] = f"the key of the tests of {_SUFFIX}, which keeps no secret at all and no file"
os.environ["KODA_DATA_DIR"] = str(_PLACE / f"koda-test-{os.getuid()}-{_SUFFIX}")

from koda_web.settings import *  # noqa: E402, F403
from koda_web.settings import DATABASES  # noqa: E402

# A file, never the in-memory default: threads of an in-memory database see "table is locked" at once.
_IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DATABASES["default"]["TEST"] = {
    "NAME": str(_PLACE / f"koda-test-{os.getuid()}-{_SUFFIX}.sqlite3") if _IS_SQLITE else f"test_koda_{_SUFFIX}"
}
if not _IS_SQLITE:
    # A power cut in the middle of a test run loses nothing worth keeping.
    DATABASES["default"]["OPTIONS"]["options"] += " -c synchronous_commit=off"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# The manifest appears with collectstatic; the server fixture, which is the real thing, has one and serves its files.
# Here nobody asks for them, and each of thousands of clients would look through all of them first.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SERVESTATIC_USE_FINDERS = SERVESTATIC_USE_STATIC_ROOT = False
