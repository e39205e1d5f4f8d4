"""The environment: what it accepts, what it refuses, and in which words."""

import os
import re
import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from koda_web import env, secret_key
from tests.conftest import ROOT

LONG_KEY = "k" * 50


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KODA_")]:
        monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> env.Environment:
    for name, value in variables.items():
        monkeypatch.setenv(f"KODA_{name}", value)
    return env.read(os.environ)


def refuse(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(monkeypatch, **variables)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_without_any_variable_it_serves_this_machine_alone(monkeypatch):
    found = read(monkeypatch)
    assert (found.host, found.port, found.debug) == ("127.0.0.1", 8765, False)
    assert (found.rate_limit, found.stuck_after) == (6000, 300)
    assert (found.max_body, found.max_content) == (64 * 1024**2, 16 * 1024**2)
    assert found.database_url is None
    assert found.redis_url is None


def test_thresholds_of_agents_are_pairs_of_name_and_seconds(monkeypatch):
    found = read(monkeypatch, STUCK_AFTER_BY_AGENT="reviewer=900, a=b = 120,")
    assert found.stuck_after_by_agent == {"reviewer": 900, "a=b": 120}
    for wrong in ("reviewer", "=900", "reviewer=soon", "reviewer=0"):
        (fault,) = refuse(monkeypatch, STUCK_AFTER_BY_AGENT=wrong)
        assert fault.startswith("KODA_STUCK_AFTER_BY_AGENT"), fault


def test_every_fault_is_told_at_once_under_its_name(monkeypatch):
    faults = refuse(
        monkeypatch,
        PORT="abc",
        DEBUG="perhaps",
        MAX_BODY="big",
        TIME_ZONE="Mars/Olympus",
        LOG_LEVEL="loud",
        PUBLIC_URL="koda.example.org",
        DATABASE_URL="mysql://somewhere/koda",
        REDIS_URL="http://somewhere",
        RATE_LIMIT="0",
    )
    names = {fault.split(":")[0] for fault in faults}
    assert names == {
        "KODA_PORT",
        "KODA_DEBUG",
        "KODA_MAX_BODY",
        "KODA_TIME_ZONE",
        "KODA_LOG_LEVEL",
        "KODA_PUBLIC_URL",
        "KODA_DATABASE_URL",
        "KODA_REDIS_URL",
        "KODA_RATE_LIMIT",
    }


def test_a_misspelt_name_is_refused_with_the_right_one(monkeypatch):
    assert refuse(monkeypatch, ALOWED_HOSTS="koda.test") == [
        "KODA_ALOWED_HOSTS is unknown: did you mean KODA_ALLOWED_HOSTS?"
    ]


def test_a_foreign_name_with_our_prefix_does_no_harm_and_is_listed(monkeypatch):
    read(monkeypatch, MODEL_PROVIDER="somebody")
    assert env.unknown_names(os.environ) == ["KODA_MODEL_PROVIDER"]


def test_a_wrong_secret_is_never_quoted(monkeypatch):
    faults = refuse(monkeypatch, SECRET_KEY="hunter2", DATABASE_URL="odd://me:hunter2@host/db")
    assert len(faults) == 2
    assert "hunter2" not in " ".join(faults)


@pytest.mark.parametrize("name", env.SECRETS)
def test_every_secret_comes_from_a_file_as_well(monkeypatch, tmp_path: Path, name):
    value = {
        "DATABASE_URL": "postgresql://host/koda",
        "REDIS_URL": "redis://host",
    }.get(name, LONG_KEY)
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")
    found = getattr(read(monkeypatch, **{f"{name}_FILE": str(file)}), name.lower())
    assert found.get_secret_value() == value


def test_a_secret_given_twice_is_refused(monkeypatch, tmp_path: Path):
    file = tmp_path / "secret"
    file.write_text(LONG_KEY)
    assert refuse(monkeypatch, SECRET_KEY=LONG_KEY, SECRET_KEY_FILE=str(file)) == [
        "KODA_SECRET_KEY and KODA_SECRET_KEY_FILE are both set: keep one"
    ]


def test_a_secret_file_that_cannot_be_read_is_named(monkeypatch, tmp_path: Path):
    (fault,) = refuse(monkeypatch, METRICS_TOKEN_FILE=str(tmp_path / "absent"))
    assert fault.startswith("KODA_METRICS_TOKEN_FILE: cannot read")


@pytest.mark.parametrize("name", env.SECRETS)
def test_an_empty_secret_file_is_none(monkeypatch, tmp_path: Path, name):
    (tmp_path / "secret").write_text("\n")
    faults = refuse(monkeypatch, **{f"{name}_FILE": str(tmp_path / "secret")})
    assert f"KODA_{name}_FILE: {tmp_path / 'secret'} is empty" in faults


def test_a_secret_file_does_not_hide_the_other_faults(monkeypatch, tmp_path: Path):
    faults = refuse(monkeypatch, METRICS_TOKEN_FILE=str(tmp_path / "absent"), PORT="0")
    assert len(faults) == 2


@pytest.mark.parametrize(("text", "size"), [("64MiB", 64 * 1024**2), ("2 MB", 2_000_000), ("1048576", 1024**2)])
def test_sizes_are_written_as_people_write_them(monkeypatch, text, size):
    found = read(monkeypatch, MAX_BODY=text, MAX_CONTENT="1KiB")
    assert found.max_body == size


def test_a_message_larger_than_a_body_is_refused(monkeypatch):
    (fault,) = refuse(monkeypatch, MAX_BODY="2MiB", MAX_CONTENT="3MiB")
    assert "KODA_MAX_CONTENT" in fault


@pytest.mark.parametrize(("text", "limit"), [("off", None), ("OFF", None), ("10", 10)])
def test_the_rate_limit_is_a_number_or_off(monkeypatch, text, limit):
    assert read(monkeypatch, RATE_LIMIT=text).rate_limit == limit


def test_host_names_are_separated_by_commas(monkeypatch):
    assert read(monkeypatch, ALLOWED_HOSTS="koda.test, .example.org,").allowed_hosts == [
        "koda.test",
        ".example.org",
    ]


@pytest.mark.parametrize("text", ["https://koda.test/", "https://koda.test"])
def test_the_public_address_has_no_path(monkeypatch, text):
    assert read(monkeypatch, PUBLIC_URL=text).public_url == "https://koda.test"
    assert refuse(monkeypatch, PUBLIC_URL="https://koda.test/below")


def test_a_port_that_is_none_stops_the_start(monkeypatch):
    faults = refuse(monkeypatch, REDIS_URL="redis://:hunter2@localhost:6379x/0", PUBLIC_URL="https://koda.test:99999")
    assert faults == [
        "KODA_PUBLIC_URL: has a port that is none (it is 'https://koda.test:99999')",
        "KODA_REDIS_URL: has a port that is none",
    ]


def test_an_empty_variable_counts_as_absent(monkeypatch):
    assert read(monkeypatch, PORT="", SECRET_KEY_FILE="").port == 8765


def test_every_setting_has_its_heading_and_every_heading_its_setting():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (\S+)$", text, re.MULTILINE)
    settings = [f"KODA_{name.upper()}" for name in env.Environment.model_fields]
    assert sorted(headings) == sorted(settings)
    for name in env.SECRETS:
        assert f"KODA_{name}_FILE" in text


def test_the_secret_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "data" / "secret-key"
    key = secret_key.read_or_create(path)
    assert len(key) >= 50
    assert secret_key.read_or_create(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_secret_key_that_is_none_stops_the_start_and_stays(tmp_path: Path, content):
    path = tmp_path / "secret-key"
    path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=str(path)):
        secret_key.read_or_create(path)
    assert path.read_bytes() == content


def test_a_data_folder_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match=r"Not a directory(?s:.*)KODA_DATA_DIR"):
        secret_key.read_or_create(tmp_path / "file" / "secret-key")


def test_time_saved_is_read_by_tool(monkeypatch):
    assert read(monkeypatch, TIME_SAVED_PER_CALL="run_command=30, view=5.5").time_saved_per_call == {
        "run_command": 30.0,
        "view": 5.5,
    }
    for wrong in ("view", "view=0", "view=-1", "view=nan", "view=inf", "view=long", "view=90000"):
        (fault,) = refuse(monkeypatch, TIME_SAVED_PER_CALL=wrong)
        assert fault.startswith("KODA_TIME_SAVED_PER_CALL"), fault


def test_nothing_is_purged_unless_a_setting_says_so(monkeypatch):
    found = read(monkeypatch)
    ages = ("compacted_days", "stale_hours", "deleted_days", "events_days")
    assert [getattr(found, f"retention_{name}") for name in ages] == [None] * 4
    found = read(monkeypatch, RETENTION_COMPACTED_DAYS="90", RETENTION_STALE_HOURS="off")
    assert (found.retention_compacted_days, found.retention_stale_hours) == (90, None)
    for wrong in ("0", "-1", "36501", "soon", "1.5"):
        (fault,) = refuse(monkeypatch, RETENTION_STALE_HOURS=wrong)
        assert fault.startswith("KODA_RETENTION_STALE_HOURS"), fault
