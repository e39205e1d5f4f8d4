"""The lines with which an agent is connected: exact, for a shell, with the server's address and the key in them."""

import json
import shlex
from dataclasses import dataclass

from django import template

register = template.Library()


@dataclass(frozen=True, slots=True)
class Paste:
    """One text to paste, and what it is for."""

    name: str
    note: str
    text: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way to connect, in one text or more."""

    name: str
    label: str
    pastes: list[Paste]


@register.simple_tag
def ways(root: str, key: str, source: str, user: str) -> list[Way]:
    """Return the ways to connect with `key` at the server `root`."""
    return [
        Way("koda", "Koda", _koda(root, key, source, user)),
        Way("zeroclaw", "ZeroClaw", _zeroclaw(root, key, source, user)),
        Way("stakpak", "Stakpak", _stakpak(root, key)),
        Way("curl", "curl", [Paste("curl", "In a shell; the answer is the new session.", _curl(root, key))]),
        Way("python", "Python", [Paste("python", "In a shell; needs Python 3 and nothing else.", _python(root, key))]),
    ]


def _koda(root: str, key: str, source: str, user: str) -> list[Paste]:
    follow = _follow("~/.config/koda/db/koda.db", source, user)
    return [
        Paste(
            "koda", "On the machine of both: Koda's own database, read as it is written. Koda needs no change.", follow
        ),
        Paste(
            "koda-engine",
            "For a program that runs Koda's engine: events go out and commands come in, as examples/agent.py shows.",
            f"python examples/agent.py --url {root} --key {key}",
        ),
    ]


def _zeroclaw(root: str, key: str, source: str, user: str) -> list[Paste]:
    follow = _follow("~/.zeroclaw/data/sessions", source, user)
    return [
        Paste(
            "zeroclaw", "On the machine of both: its sessions, read as they are written. It needs no change.", follow
        ),
        Paste(
            "zeroclaw-backend",
            "For an adapter of its SessionBackend: the root of all methods and the token. One append, to try it:",
            f"export KODA_WEB_ROOT={root}/api/zeroclaw\nexport KODA_WEB_TOKEN={key}\n"
            'curl -sS "$KODA_WEB_ROOT/sessions/hello/messages" -H "Authorization: Bearer $KODA_WEB_TOKEN" '
            """-H "Content-Type: application/json" -d '{"role": "user", "content": "Hello from ZeroClaw"}'""",
        ),
    ]


def _stakpak(root: str, key: str) -> list[Paste]:
    return [
        Paste(
            "stakpak",
            "In the shell in which the agent runs.",
            f"export STAKPAK_API_ENDPOINT={root}\nexport STAKPAK_API_KEY={key}\nstakpak",
        ),
        Paste(
            "stakpak-login",
            "Or once and for all, into its own profile.",
            f"stakpak auth login --provider stakpak --api-key {key} --endpoint {root}",
        ),
    ]


def _curl(root: str, key: str) -> str:
    body = json.dumps({"agent_name": "curl", "title": "Hello from curl"})
    return (
        f'curl -sS {root}/api/v1/sessions \\\n  -H "Authorization: Bearer {key}" \\\n'
        f"  -H \"Content-Type: application/json\" \\\n  -d '{body}'"
    )


def _python(root: str, key: str) -> str:
    return f"""python3 - <<'END'
import json, urllib.request

def post(path, body):
    headers = {{"Authorization": "Bearer {key}", "Content-Type": "application/json"}}
    request = urllib.request.Request("{root}/api/v1/" + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))

session = post("sessions", {{"agent_name": "python", "title": "Hello from Python"}})["id"]
post(f"sessions/{{session}}/messages", {{"role": "assistant", "content": "It works."}})
print("session", session)
END"""


def _follow(place: str, source: str, user: str) -> str:
    """Return the command that reads what another program stores, also as it goes on."""
    return f"koda-web importsessions {place} --follow --user {shlex.quote(user)} --source {shlex.quote(source)}"
