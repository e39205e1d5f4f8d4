"""System checks: each wrong combination is found, and each finding says the way out."""

from datetime import timedelta

import pytest
from django.core.checks import run_checks

from sessions import checks


def find(*, tags: list[str] | None = None) -> set[str | None]:
    return {found.id for found in run_checks(tags=tags) if (found.id or "").startswith("koda.")}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_a_loopback_address_is_safe(host):
    assert checks.find_unsafe_binding(host) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "koda.test"])
def test_another_address_needs_the_names_it_is_reached_at(settings, host):
    settings.KODA_HOST = host
    assert "koda.E001" in find()
    settings.KODA_ALLOWED_HOSTS = ["koda.test"]
    assert find() == {"koda.W001"}
    settings.KODA_PUBLIC_URL = "https://koda.test"
    settings.KODA_PROXY_COUNT = 1
    assert find() == set()


def test_debug_is_not_for_others(settings):
    settings.KODA_HOST, settings.KODA_ALLOWED_HOSTS, settings.DEBUG = "0.0.0.0", ["koda.test"], True
    assert "koda.E003" in find()


def test_https_without_a_proxy_would_redirect_for_ever(settings):
    settings.KODA_PUBLIC_URL = "https://koda.test"
    assert "koda.E002" in find()


def test_any_host_name_is_worth_a_warning(settings):
    settings.ALLOWED_HOSTS = ["*"]
    assert "koda.W002" in find()


@pytest.mark.parametrize(
    ("hours", "running", "days", "found"),
    [
        (None, False, 30, set()),
        (None, True, None, {"koda.W007"}),
        (720, False, 30, set()),
        (719, False, 30, {"koda.W008"}),
        (719, False, None, set()),
        (1, True, None, set()),
    ],
)
def test_policies_that_contradict_each_other(settings, hours, running, days, found):
    settings.KODA_RETENTION_STALE_HOURS, settings.KODA_RETENTION_STALE_RUNNING = hours, running
    settings.KODA_RETENTION_DELETED_DAYS = days
    assert find() == found


def test_a_policy_must_not_destroy_what_an_agent_works_on(settings):
    settings.KODA_RETENTION_STALE_HOURS, settings.KODA_RETENTION_STALE_RUNNING = 1, True
    settings.KODA_STUCK_AFTER = timedelta(hours=1)
    assert "koda.E004" in find()


def test_an_old_sqlite_is_worth_a_warning(monkeypatch):
    if checks.connection.vendor != "sqlite":
        pytest.skip("another database")
    monkeypatch.setattr(checks.connection.Database, "sqlite_version_info", (3, 51, 2))
    assert "koda.W003" in find()


def test_postgresql_without_redis_is_worth_a_warning(settings):
    settings.KODA_REDIS_URL = None
    assert ("koda.W004" in find()) == (checks.connection.vendor == "postgresql")


def test_foreign_variables_are_listed(settings):
    settings.KODA_UNKNOWN_VARIABLES = ["KODA_MODEL"]
    assert "koda.W005" in find()


def test_a_data_folder_open_to_others_is_worth_a_warning(settings, tmp_path):
    settings.KODA_DATA_DIR = tmp_path
    tmp_path.chmod(0o755)
    assert "koda.W006" in find()
    tmp_path.chmod(0o700)
    assert "koda.W006" not in find()


def test_every_finding_says_what_to_do(settings, tmp_path):
    tmp_path.chmod(0o755)
    settings.KODA_HOST, settings.DEBUG, settings.KODA_DATA_DIR = "0.0.0.0", True, tmp_path
    settings.KODA_UNKNOWN_VARIABLES, settings.ALLOWED_HOSTS = ["KODA_MODEL"], ["*"]
    found = [message for message in run_checks() if (message.id or "").startswith("koda.")]
    assert len(found) >= 6
    assert all(message.hint for message in found)
