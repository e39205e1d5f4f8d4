"""The site of deploy/nginx, served by a real nginx on ports and with a certificate of its own."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT

SITE = (ROOT / "deploy" / "nginx" / "koda-web.conf").read_text(encoding="utf-8")
LISTENS_WITHIN_SECONDS = 20

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None, reason="no nginx, or no openssl"
)


def configure(folder: Path, *, http: int, https: int, upstreams: Sequence[int]) -> Path:
    """Write the site, for these ports and with a certificate of its own, and a configuration around it."""
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out",
         str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    site = SITE.replace("koda.example.org", "localhost").replace("/etc/ssl/koda-web", str(folder))
    site = site.replace("listen 80;", f"listen 127.0.0.1:{http};").replace("listen 443 ", f"listen 127.0.0.1:{https} ")
    [line] = re.findall(r"^.*127\.0\.0\.1:8765.*\n", site, re.MULTILINE)
    site = site.replace(line, "".join(line.replace("8765", str(port)) for port in upstreams))
    (folder / "site.conf").write_text(site, encoding="utf-8")
    places = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off;\n{places}include {folder}/site.conf; }}\n",
        encoding="utf-8",
    )
    return main


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path, main: Path, port: int) -> Iterator[None]:
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(main)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + LISTENS_WITHIN_SECONDS
    try:
        while not _listens(port):
            assert process.poll() is None, (folder / "error.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()
