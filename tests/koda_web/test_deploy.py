"""The files of deploy/: read by their own programs where these are at hand, and held against the product by us."""

import http.client
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
import yaml
from django.utils import timezone
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from koda_web import env
from sessions.management import backups
from tests.conftest import OWNER, PASSWORD, ROOT, find_free_port, prepare, stop_server
from tests.faults.serving import serving
from tests.proxy import SITE, configure, needs_nginx, nginx

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((DEPLOY / "systemd").iterdir())
DEFAULTS = env.Environment.model_fields
SPARE_SECONDS = 10
"""What docs/deployment.md asks for beyond the time in which a server drains."""


EXPOSURE = 20
"""In tenths of what systemd counts from 0, nothing is left open, to 10, everything is."""
IMAGE = re.compile("FROM|RUN|CMD|EXPOSE|ENV|COPY|USER|WORKDIR|VOLUME|HEALTHCHECK|STOPSIGNAL")
SERVICE = re.compile(
    "build|cap_drop|command|depends_on|deploy|environment|healthcheck|image|init|ports|read_only|restart|secrets"
    "|security_opt|shm_size|stop_grace_period|tmpfs|ulimits|volumes"
)
"""Of the words of a service in the specification of Compose, those that have a meaning here."""


def seconds_of(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s?", text)[1])


def test_every_setting_that_is_named_there_is_one():
    text = "\n".join(path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.is_file())
    named = set(re.findall(r"\bKODA_[A-Z_]+", text)) - {"KODA_WEB"}
    assert named <= env.variable_names()


# --- Docker --------------------------------------------------------------------------------------------------


def copied() -> set[str]:
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {source for line in lines for source in line.split()[:-1]}


def test_what_the_image_copies_is_there_and_nothing_else_is_sent():
    assert all((ROOT / source).exists() for source in copied())
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in allowed if line.startswith("!")} == copied()
    # What the wheel is made of: pyproject.toml takes these along.
    assert {"koda_web", "sessions", "templates", "static", "README.md", "LICENSE"} <= copied()


def test_the_image_runs_as_nobody_special_and_gets_its_signals():
    stages = DOCKERFILE.split("\nFROM ")
    assert re.search(r"^USER koda-web$", stages[-1], re.MULTILINE)
    assert re.search(r'^CMD \["koda-web"\]$', stages[-1], re.MULTILINE), "without a shell between"
    assert "--require-hashes" in DOCKERFILE


def needs_docker(plugin: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which("docker") is None
        or subprocess.run(["docker", plugin, "version"], capture_output=True, check=False).returncode != 0,
        reason=f"no docker {plugin}",
    )


def test_the_image_is_made_of_known_steps_and_stages():
    text = re.sub(r"^#.*\n|\\\n", "", DOCKERFILE, flags=re.MULTILINE)
    steps = re.findall(r"^(\S+) (.+)$", text, re.MULTILINE)
    assert all(IMAGE.fullmatch(word) for word, _ in steps)
    stages = {text.split(" AS ")[1] for word, text in steps if word == "FROM" and " AS " in text}
    assert set(re.findall(r"--from=(\S+)", DOCKERFILE)) == stages
    assert not re.search(r":latest\b", DOCKERFILE)


@needs_docker("buildx")
def test_docker_finds_nothing_to_say_of_the_image():
    command = ["docker", "build", "--check", "--file", str(DEPLOY / "Dockerfile"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_docker("compose")
def test_compose_reads_it(tmp_path):
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "KODA_PUBLIC_URL": "https://koda.test",
    }
    command = ["docker", "compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_services_fit_together():
    services = COMPOSE["services"]
    assert set(services) == {"web", "nginx", "postgres", "redis"}
    assert set(COMPOSE) == {"name", "services", "secrets", "volumes"}
    for name, service in services.items():
        assert all(SERVICE.fullmatch(word) for word in service)
        assert ("build" in service) != ("image" in service)
        for needed in service.get("depends_on", {}):
            has_check = "healthcheck" in services[needed] or needed == "web"  # the image's own
            assert has_check, f"{name} waits for {needed} to be healthy"
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    used = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert (DEPLOY / "nginx").is_dir()
    script = services["nginx"]["command"][-1]
    assert all(part in SITE for part in re.findall(r"s/([^/]+)/", script)), "what it replaces stands in the site"
    assert seconds_of(services["web"]["stop_grace_period"]) >= DEFAULTS["drain_seconds"].default + SPARE_SECONDS
    version = re.search(r"postgres:(\d+)-bookworm", services["postgres"]["image"])
    assert version[1] == "15", "the programs of the image's Debian are of PostgreSQL 15"


# --- systemd -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 503])
def test_the_check_of_the_image_asks_the_server_itself_whatever_proxy_docker_names(status):
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

    program, *arguments = json.loads(re.search(r"^HEALTHCHECK.*\\\n\s+CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    assert program == "python"
    nowhere = dict.fromkeys(("http_proxy", "HTTP_PROXY"), f"http://127.0.0.1:{find_free_port()}")
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        asked = [text.replace("localhost:8765", f"127.0.0.1:{server.server_port}") for text in arguments]
        done = subprocess.run([sys.executable, *asked], env={**os.environ, **nowhere}, capture_output=True, check=False)
    assert (done.returncode == 0) == (status == 200), done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_understands_the_units(tmp_path: Path):
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/koda-web/bin/koda-web", "/bin/true")
        (tmp_path / unit.name.replace("@.", "@8765.")).write_text(text, encoding="utf-8")
    places = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *places], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "koda-web" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_a_unit_may_do_little_beside_its_work(unit: Path, tmp_path: Path):
    place = shutil.copy(unit, tmp_path / unit.name.replace("@.", "@8765."))
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_service_has_time_to_drain_and_as_many_files_as_the_server_asks_for():
    text = next(unit for unit in UNITS if unit.name == "koda-web@.service").read_text(encoding="utf-8")
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]) >= (
        DEFAULTS["drain_seconds"].default + SPARE_SECONDS
    )
    assert "LimitNOFILE=65536" in text


def test_what_a_killed_backup_left_behind_goes_with_the_old_copies():
    text = next(unit for unit in UNITS if unit.name == "koda-web-backup.service").read_text(encoding="utf-8")
    pattern = re.search(r"-name (\S+) -mtime", text)[1]
    name = backups.name_of(timezone.now())
    for left in (name, f".{name}.4711", f".{name}.4711-journal"):
        assert fnmatch(left, pattern), left


# --- nginx ---------------------------------------------------------------------------------------------------


def test_the_site_passes_on_what_the_server_needs_to_know():
    assert int(re.search(r"client_max_body_size (\d+)m;", SITE)[1]) * 1024**2 == DEFAULTS["max_body"].default
    servers = re.findall(r"^ +server (.+);$", SITE, re.MULTILINE)
    assert servers
    assert all(server.endswith(" max_fails=0") for server in servers)
    for header in ("Host $http_host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {header};" in SITE


@needs_nginx
def test_nginx_understands_the_site(tmp_path: Path):
    main = configure(tmp_path, http=8080, https=8443, upstreams=[8765])
    done = subprocess.run(
        ["nginx", "-t", "-p", str(tmp_path), "-c", str(main)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace('the "user" directive', "")


@pytest.mark.slow
@needs_nginx
def test_behind_nginx_pages_sockets_and_agents_are_safe(tmp_path: Path):
    plain, https = find_free_port(), find_free_port()
    url = f"https://localhost:{https}"
    data_dir = tmp_path / "data"
    environment = prepare(data_dir, KODA_PUBLIC_URL=url, KODA_PROXY_COUNT="1")
    with serving(data_dir, environment) as [server]:
        main = configure(tmp_path, http=plain, https=https, upstreams=[server.port])
        trusted = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
        with (
            nginx(tmp_path, main, https),
            httpx.Client(base_url=url, verify=trusted, trust_env=False) as browser,
        ):
            assert (
                httpx.get(f"http://localhost:{plain}/x", trust_env=False).headers["Location"] == "https://localhost/x"
            )
            page = browser.get("/sign-in/")
            assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
            form = {"username": OWNER, "password": PASSWORD, "csrfmiddlewaretoken": token}
            signed_in = browser.post("/sign-in/", data=form, headers={"Referer": f"{url}/sign-in/"})
            assert signed_in.status_code == 302
            assert "Secure" in signed_in.headers["Set-Cookie"]
            assert browser.get("/metrics").status_code == 404
            cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            place = f"{url.replace('https', 'wss')}/ws/board/"
            headers = {"Cookie": cookie}
            with connect(place, ssl=trusted, origin=url, additional_headers=headers, proxy=None) as live:
                assert live.recv(10)
            for origin in (f"https://localhost:{https + 1}", f"http://localhost:{https}"):
                with (
                    pytest.raises(InvalidStatus),
                    connect(place, ssl=trusted, origin=origin, additional_headers=headers, proxy=None),
                ):
                    pass
            assert _guess_keys(browser) == 429, "an address that a client invents helps nobody"
        stop_server(server)


@pytest.mark.slow
@needs_nginx
def test_what_nginx_answers_by_itself_has_the_form_of_the_door(tmp_path: Path):
    plain, https, nobody = find_free_port(), find_free_port(), find_free_port()
    main = configure(tmp_path, http=plain, https=https, upstreams=[nobody])
    trusted = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
    forms = {
        "/api/v1/sessions": ("application/problem+json", lambda body: json.loads(body)["code"]),
        "/v1/sessions": ("application/json", lambda body: json.loads(body)["error"]["key"]),
        "/": ("text/plain; charset=utf-8", {"No ser": "unavailable", "The bo": "too_large"}.get),
    }
    with (
        nginx(tmp_path, main, https),
        httpx.Client(base_url=f"https://localhost:{https}", verify=trusted, trust_env=False) as client,
    ):
        for path, (form, code_of) in forms.items():
            away = client.get(path)
            assert (away.status_code, away.headers["Content-Type"], away.headers["Retry-After"]) == (503, form, "2")
            status, told, large = _announce(https, path, size=64 * 1024**2 + 1, context=trusted)
            assert (status, told) == (413, form)
            for text, code in ((away.text, "unavailable"), (large, "too_large")):
                assert code_of(text if path != "/" else text[:6]) == code
        long_key = "%E6%97%A5" * 1024
        assert client.get(f"/api/zeroclaw/sessions/{long_key}").status_code == 503, "it is passed on"


def _announce(port: int, path: str, *, size: int, context: ssl.SSLContext) -> tuple[int, str | None, str]:
    """Announce a body of so many bytes, send none of it, and return status, type and body of the answer."""
    with closing(http.client.HTTPSConnection("localhost", port, context=context, timeout=20)) as connection:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def _guess_keys(client: httpx.Client) -> int:
    """Try keys, each as if from another address, until they are no longer looked at; return the last status."""
    status = 401
    for number in range(200):  # a new minute may begin in between
        invented = {"Authorization": f"Bearer koda_{number}", "X-Forwarded-For": f"192.0.2.{number}"}
        status = client.get("/api/v1/sessions", headers=invented).status_code
        if status != 401:
            break
    return status
