"""setup: prepares everything, once, whoever else does so at the same time."""

import os
import re
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from koda_web import cli
from sessions.management.commands import setup
from tests.conftest import ROOT, make_environment, manage, prepare, template

PASSWORD = re.compile(r"one-time password (\S+)")


@pytest.mark.django_db
def test_the_first_user_may_everything_and_the_password_fits():
    password = setup.create_owner()
    owner = User.objects.get()
    assert password
    assert (owner.username, owner.is_superuser, owner.is_staff) == ("owner", True, True)
    assert owner.check_password(password)
    assert password not in owner.password


@pytest.mark.django_db
def test_where_there_is_a_user_none_is_made():
    get_user_model().objects.create_user("somebody")
    assert setup.create_owner() is None
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_the_one_time_password_is_to_be_replaced_at_the_first_sign_in(client):
    given = {"username": "owner", "password": setup.create_owner(), "next": "/"}
    first = client.post("/sign-in/", given)
    assert first["Location"] == "/account/password/?first=1"
    own = "quite another sentence"
    change = {"old_password": given["password"], "new_password1": own, "new_password2": own}
    assert client.post(first["Location"], change).status_code == 302
    client.post("/sign-out/")
    assert client.post("/sign-in/", given).status_code == 200  # the form again
    assert client.post("/sign-in/", {**given, "password": own})["Location"] == "/"


def test_a_changed_source_changes_the_fingerprint(settings, tmp_path: Path):
    settings.STATICFILES_DIRS = [tmp_path]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    before = setup.fingerprint_sources()
    (tmp_path / "new.css").write_text("a{}")
    after = setup.fingerprint_sources()
    assert after != before
    assert setup.fingerprint_sources() == after


@pytest.mark.slow
def test_a_second_run_finds_everything_and_changes_nothing(tmp_path: Path):
    first = template()
    assert PASSWORD.search(first.told)
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700
    folder = tmp_path / "data"
    environment = prepare(folder)
    manifest = folder / "static" / "staticfiles.json"
    before = (folder / "secret-key").read_text(), manifest.stat().st_mtime_ns
    assert manage(environment, "setup") == ""
    assert ((folder / "secret-key").read_text(), manifest.stat().st_mtime_ns) == before


@pytest.mark.slow
def test_two_at_once_make_one_owner(tmp_path: Path):
    command = [sys.executable, "manage.py", "setup", "--no-static"]
    environment = make_environment(tmp_path / "data")
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert sum(len(PASSWORD.findall(output)) for output in outputs) == 1


@pytest.mark.parametrize("command", [["setup"], ["liststuck"]])
def test_a_database_that_cannot_be_used_is_told_in_one_line_unless_more_is_asked_for(tmp_path: Path, command):
    environment = make_environment(tmp_path, KODA_DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/koda.sqlite3")
    run = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    brief = run([sys.executable, "manage.py", *command])
    assert (brief.returncode, brief.stdout) == (1, "")
    assert brief.stderr == "The database could not be used: unable to open database file\n"
    assert "Traceback" in run([sys.executable, "manage.py", *command, "--traceback"]).stderr


def test_a_file_that_is_no_database_and_tables_that_are_not_there_are_told_in_one_line(tmp_path: Path):
    environment = make_environment(tmp_path)
    run = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    without_tables = run([sys.executable, "manage.py", "liststuck"])
    purge = run([sys.executable, "manage.py", "purgestale", "--ttl", "1", "--dry-run"])
    (tmp_path / "koda.sqlite3").write_text("not a database, but letters " * 40)
    no_database = run([sys.executable, "manage.py", "liststuck"])
    assert (without_tables.returncode, no_database.returncode) == (1, 1)
    told = "The database could not be used: "
    assert without_tables.stderr == f"{told}no such table: koda_sessions_session. Run the command setup first.\n"
    assert purge.stderr == without_tables.stderr
    assert no_database.stderr == f"{told}file is not a database\n"


def test_a_folder_that_cannot_be_prepared_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    environment = make_environment(tmp_path / "file" / "data", KODA_SECRET_KEY="k" * 60)
    run = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    brief = run([sys.executable, "manage.py", "setup"])
    assert (brief.returncode, brief.stderr) == (1, f"{tmp_path}/file/data: Not a directory\n")
    assert "Traceback" in run([sys.executable, "manage.py", "setup", "--traceback"]).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
@pytest.mark.parametrize("buffering", ["", "1"])
def test_output_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, buffering):
    environment = make_environment(tmp_path) | {"PYTHONUNBUFFERED": buffering}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "manage.py", "showmigrations"],
            cwd=ROOT, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "No space left on device\n")


def test_who_stops_reading_ends_a_command_without_a_word(tmp_path: Path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "showmigrations"],
            cwd=ROOT, env=make_environment(tmp_path), stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_ends_a_command_without_a_traceback_unless_it_is_asked_for(monkeypatch, capsys):
    def be_interrupted(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "execute_from_command_line", be_interrupted)
    monkeypatch.setattr(sys, "argv", ["manage.py", "importsessions", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "Interrupted.\n")
    monkeypatch.setattr(sys, "argv", ["manage.py", "importsessions", ".", "--traceback"])
    with pytest.raises(KeyboardInterrupt):
        cli.main()
