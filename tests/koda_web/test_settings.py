"""The settings as a start of the program sees them, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, make_environment

_PRINT = """
import json, sys
from koda_web import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def load(data_dir: Path, *names: str, **variables: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", _PRINT, *names],
        cwd=ROOT,
        env=make_environment(data_dir, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def manage(data_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=make_environment(data_dir, **variables),
        capture_output=True,
        text=True,
        check=False,
    )


def test_https_secures_the_cookies_and_the_way(tmp_path: Path):
    names = (
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        "SECURE_PROXY_SSL_HEADER",
        "CSRF_TRUSTED_ORIGINS",
        "ALLOWED_HOSTS",
    )
    found = load(tmp_path, *names, KODA_PUBLIC_URL="https://koda.test:8443", KODA_PROXY_COUNT="1")
    assert found["SESSION_COOKIE_SECURE"]
    assert found["CSRF_COOKIE_SECURE"]
    assert found["SECURE_SSL_REDIRECT"]
    assert found["SECURE_HSTS_SECONDS"] > 0
    assert found["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://koda.test:8443"]
    assert "koda.test" in found["ALLOWED_HOSTS"]


def test_without_a_proxy_nobodys_word_is_taken_for_https(tmp_path: Path):
    found = load(tmp_path, "SECURE_PROXY_SSL_HEADER", "NINJA_NUM_PROXIES")
    assert found == {"SECURE_PROXY_SSL_HEADER": None, "NINJA_NUM_PROXIES": 0}


def test_postgresql_gets_a_pool_and_no_kept_connections(tmp_path: Path):
    found = load(tmp_path, "DATABASES", KODA_DATABASE_URL="postgresql://me:s%40fe@host/koda?sslmode=require")
    database = found["DATABASES"]["default"]
    assert database["PASSWORD"] == "s@fe"
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"]["pool"]["max_size"] >= 16
    assert database["OPTIONS"]["sslmode"] == "require"


def test_postgresql_that_was_away_for_long_is_there_again_at_once(tmp_path: Path):
    """The pool's own five minutes let its pauses grow to two: so long it refused a database that was back."""
    pool = load(tmp_path, "DATABASES", KODA_DATABASE_URL="postgresql://me@host/koda")["DATABASES"]["default"][
        "OPTIONS"
    ]["pool"]
    assert pool["reconnect_timeout"] < pool["timeout"]


def test_a_machine_of_postgresql_that_vanishes_is_given_up_sooner_than_the_kernel_would(tmp_path: Path):
    """The kernel tries for a quarter of an hour; whoever wants something else says so in the address."""
    url = "postgresql://me@host/koda?connect_timeout=2&keepalives_idle=60"
    options = load(tmp_path, "DATABASES", KODA_DATABASE_URL=url)["DATABASES"]["default"]["OPTIONS"]
    names = ("connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")
    assert [int(options[name]) for name in names] == [2, 10_000, 60, 5, 2]


def test_redis_carries_hints_and_limits(tmp_path: Path):
    found = load(tmp_path, "CHANNEL_LAYERS", "CACHES", KODA_REDIS_URL="redis://host:6379/3")
    assert found["CHANNEL_LAYERS"]["default"]["CONFIG"]["hosts"] == ["redis://host:6379/3"]
    assert found["CACHES"]["default"]["LOCATION"] == "redis://host:6379/3"


def test_a_wrong_environment_ends_with_2_and_without_a_traceback(tmp_path: Path):
    done = manage(tmp_path, "check", KODA_PORT="abc")
    assert done.returncode == 2
    assert "KODA_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"KODA_HOST": "0.0.0.0"},
        {"KODA_HOST": "0.0.0.0", "KODA_ALLOWED_HOSTS": "koda.test", "KODA_DEBUG": "true"},
        {"KODA_PUBLIC_URL": "https://koda.test"},
    ],
)
def test_an_unsafe_combination_does_not_start(tmp_path: Path, variables):
    done = manage(tmp_path, "setup", **variables)
    assert done.returncode != 0
    assert "HINT" in done.stderr
    assert not (tmp_path / "koda.sqlite3").exists()


def test_the_deployment_check_is_clean_behind_https(tmp_path: Path):
    tmp_path.chmod(0o700)
    done = manage(
        tmp_path,
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        KODA_PUBLIC_URL="https://koda.test",
        KODA_PROXY_COUNT="1",
    )
    assert done.returncode == 0, done.stderr


def test_json_log_lines_are_json(tmp_path: Path):
    code = (
        "import django, logging, structlog; django.setup()\n"
        "logging.getLogger('elsewhere').warning('from %s', 'django')\n"
        "structlog.get_logger('here').warning('from us', seq=7)\n"
        "try: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('x').exception('broke')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=make_environment(tmp_path, KODA_LOG_FORMAT="json"),
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["event"], first["level"], first["logger"]) == ("from django", "warning", "elsewhere")
    assert (second["event"], second["seq"]) == ("from us", 7)
    assert third["exception"][0]["exc_type"] == "ZeroDivisionError"
