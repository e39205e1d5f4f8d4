"""Secrets by their form: found, and redacted before anything is stored."""

import json
import re
import uuid
from functools import partial
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from sessions import compaction, redaction, revisions
from sessions.models import Event, Message
from sessions.models.webhook import new_secret
from tests.factories import make_events, make_key, make_message, make_session, make_user
from tests.timing import seconds_of

TAIL = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SECRETS = {
    "AWS Access Key": "AKIA" + "QWERTYUIOPASDFGH",
    "GitHub Token": "ghp_" + TAIL,
    "GitLab Token": "glpat-" + TAIL[:20],
    "API key": "sk-ant-api03-" + TAIL,
    "Google API Key": "AIza" + TAIL[:35],
    "Hugging Face Token": "hf_" + TAIL[:34],
    "npm Token": "npm_" + TAIL,
    "Slack Token": "xoxb-" + "123456789012-" + "abcdefabcdef",
    "Stripe Access Key": "sk_live_" + TAIL[:24],
    "SendGrid API Key": "SG." + TAIL[:22] + "." + (TAIL + TAIL)[:43],
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + TAIL,
    "Private Key": "-----BEGIN RSA PRIVATE KEY-----\n" + TAIL * 20 + "\n-----END RSA PRIVATE KEY-----",
    "Key of this server": "koda_" + (TAIL * 2)[:43],
}


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", ["{}", "export KEY={}\n", 'Use "{}", please.', '{{"command": "curl -H \'X: {}\'"}}'])
def test_a_secret_is_found_whatever_stands_around_it(kind, around):
    secret = SECRETS[kind]
    cleaned = redaction.redact(around.format(secret))
    assert secret not in cleaned
    assert cleaned == around.format(f"[redacted: {kind} …{secret[-4:]}]")


def test_of_an_address_with_a_password_only_the_password_goes():
    said = redaction.redact("postgresql://koda:correct-horse@db.example.org/koda")
    assert said == "postgresql://koda:[redacted: Basic Auth Credentials]@db.example.org/koda"


@pytest.mark.parametrize(
    "address",
    [
        "redis://:{}@cache:6379/0",
        "postgresql://koda:{}@db/koda",
        "https://a.b-c:{}@[::1]:8443/x?y=z@w",
        "mongodb://koda:{}@one:27017,two:27017/koda",
        "'amqp://koda:{}@mq'",
    ],
)
@pytest.mark.parametrize(
    "password", ["S3cretPw0rd9", "S3cret+Pw0rd==", "p$ssw0rd!", "pa%40ss", "p@ss:(w)[o]rd,", "{x}"]
)
def test_a_password_in_an_address_is_found_whatever_it_is_made_of(address, password):
    assert redaction.redact(address.format(password)) == address.format("[redacted: Basic Auth Credentials]")


BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
LINE = (TAIL * 2)[:64]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n", "\\\\n"])
@pytest.mark.parametrize(
    ("key", "last"),
    [
        ([BEGIN, *[LINE] * 400, END], "----"),
        ([BEGIN, *[LINE] * 400], LINE[-4:]),
        ([BEGIN, "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0123", "", LINE, LINE[:20]], LINE[16:20]),
        (["-----BEGIN PGP PRIVATE KEY BLOCK-----", "Version: GnuPG (x)", "", LINE, "=abcd",
          "-----END PGP PRIVATE KEY BLOCK-----"], "----"),
        (["-----BEGIN SSH2 ENCRYPTED PRIVATE KEY-----", LINE, "-----END SSH2 ENCRYPTED PRIVATE KEY-----"], "----"),
    ],
)  # fmt: skip
def test_a_private_key_is_found_however_long_and_where_its_end_is_missing(key, last, line_end):
    text = line_end.join(key)
    assert redaction.redact(f"see {text}") == f"see [redacted: Private Key …{last}]"
    assert redaction.redact(f'{{"key": "{text}"}}') == f'{{"key": "[redacted: Private Key …{last}]"}}'


def test_of_two_private_keys_the_first_may_lack_its_end():
    text = f"{BEGIN}\n{LINE}\n{BEGIN}\n{LINE}\n{END}\nafter"
    assert redaction.redact(text) == (f"[redacted: Private Key …{LINE[-4:]}]\n[redacted: Private Key …----]\nafter")


@pytest.mark.parametrize(
    "secret",
    [new_secret(), "sk-proj-" + "a" * 500 + "TAIL", "hf_" + "a" * 500 + "TAIL", "eyJ" + ".eyJ".join([LINE * 200] * 3)],
    ids=["ours, another each time", "sk", "hf", "JWT"],
)
def test_a_secret_of_any_length_goes_as_a_whole(secret):
    assert re.fullmatch(r"KEY=\[redacted: [A-Za-z ]+ …(....)\];", redaction.redact(f"KEY={secret};"))[1] == secret[-4:]


def test_tokens_are_found_beside_other_parts():
    token = SECRETS["JSON Web Token"]
    assert (
        redaction.redact(f"a.b-{token}.c {token}")
        == "a.b-[redacted: JSON Web Token …7R8].c".replace("…7R8", f"…{token[-4:]}")
        + f" [redacted: JSON Web Token …{token[-4:]}]"
    )


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:3000/a@b",
        '["http://localhost:3000","ada@example.org"]',
        "http://localhost:3000\\nada@example.org",
        "http://[::1]:8080/",
        "postgresql://koda:${DB_PASSWORD}@db/koda",
        "postgresql://koda:$DB_PASSWORD@db/koda",
        f'if "{BEGIN}" in text and "{END}" in text:',
        f"{BEGIN} is its first line. What follows is base64.",
        "a.eyJ0123456789.0123456789",
        "whsec_ is a prefix",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000",
        "sk-learn and the task-force",
        "https://example.org/a/b?c=d",
        "password = os.environ['PASSWORD']",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ],
)
def test_what_only_looks_odd_stays(text):
    assert redaction.redact(text) == text


@given(st.text(), st.sampled_from(sorted(SECRETS)), st.text())
def test_text_around_a_secret_is_kept_and_a_second_pass_changes_nothing(before, kind, after):
    cleaned = redaction.redact(f"{before} {SECRETS[kind]} {after}")
    assert SECRETS[kind] not in cleaned
    assert redaction.redact(cleaned) == cleaned


@pytest.mark.parametrize(
    "piece",
    [
        "sk-", "eyJ", "://a:", "AKIA", "-----BEGIN PRIVATE KEY-----\n", "xoxb-1-", "aws key '",
        "-eyJ", ".eyJ", "eyJ0123456789.", "-eyJ0123456789.eyJ0123456789", "a.", "://:", "://", ":a", "$", "@", "://a:a@",
        "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----aaaaa",
        "-----BEGIN PRIVATE KEY-----\na: b\n", "-----BEGIN PRIVATE KEY-----\n" + "a" * 64, "-----END ", "A: b\\n",
        "BEGIN A PRIVATE KEY-----", '-----BEGIN A PRIVATE KEY BLOCK-----"-----END A PRIVATE KEY BLOCK-----',
        "-", "\\", "\\n", "=", "A", "a", "0", "0-", "awskey", "aws key 'a", "whsec_", "whsec_a", "xai-", "hf_", "npm_",
        "github_pat_", "koda_", "glpat-", "glagent-a", "gldt-", "GR1348941", "glcbt-00_", "-us", "a" * 32 + "-us",
        "pypi-AgEIcHlwaS5vcmc", "SG.", "SG." + "a" * 22 + ".", "xoxb-", "xoxb-1", "https://hooks.slack.com/services/T",
        "https://hooks.slack.com/services/Ta/B", "sq0csp-", "sk_live_", "AC", "SK", "AccountKey=", "AccountKey=a",
    ],
)  # fmt: skip
def test_no_text_takes_longer_than_its_length_deserves(piece):
    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size] + " ghp_ PRIVATE KEY-----"
        return seconds_of(partial(redaction.find, text))

    seconds(1000)
    # What a busy machine does to a measurement only adds to it: the least of several is the nearest.
    short, long = (min(seconds(size) for _ in range(times)) for size, times in ((20_000, 3), (400_000, 2)))
    assert long < 150 * max(short, 0.002), "twenty times the text takes no 400 times the time"


@pytest.fixture
def session(db):
    return make_session(make_user("ada"))


def everything_stored() -> str:
    rows = [*Message.objects.values_list(), *Event.objects.values_list()]
    return str(rows)


SECRET = SECRETS["GitHub Token"]


def store_everywhere(session) -> None:
    calls = [{"id": "c", "function_name": "Bash", "arguments": json.dumps({"command": f"git push {SECRET}"})}]
    make_message(session, content=f"Use {SECRET}", thinking=f"{SECRET}?")
    make_message(session, role="assistant", content=None, tool_calls=calls)
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "text_delta", "text": SECRET[:10], "event_id": "1"},
        {"type": "text_delta", "text": SECRET[10:], "event_id": "2"},
        {"type": "tool_call_start", "id": "d", "name": "Bash", "args": {"env": [SECRET]}},
        {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": SECRET, "preview": None},
    )
    revisions.replace_last(session.pk, role="user", content=f"no, {SECRET}", by="agent")
    compaction.compact(session.pk, summary=f"They use {SECRET}.", preserve_count=0, by="agent")


def test_what_is_stored_holds_no_secret_when_it_shall_not(session, settings):
    settings.KODA_REDACT = True
    store_everywhere(session)
    session.refresh_from_db()
    assert SECRET not in everything_stored()
    assert SECRET not in (session.title or "")
    assert SECRET not in str([*session.tool_calls.values_list(), *session.requests.values_list()])
    assert f"[redacted: GitHub Token …{SECRET[-4:]}]" in everything_stored()
    joined = Event.objects.get(type="text_delta")
    assert sum(joined.part_lengths) == len(joined.payload["text"])


def test_otherwise_what_agents_say_is_stored_as_they_say_it(session, settings):
    settings.KODA_REDACT = False
    store_everywhere(session)
    assert everything_stored().count(SECRET) >= 5


def find_secrets(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("findsecrets", *arguments, stdout=output)
    except SystemExit as ended:
        return int(ended.code), output.getvalue()
    return 0, output.getvalue()


def test_stored_secrets_are_found_on_request_and_not_shown(session):
    plain = make_key().plain
    first = make_message(session, content=f"My key is {plain}.")
    other = make_message(make_session(), content=f"{SECRET} {SECRET}")

    code, said = find_secrets()

    assert code == 1
    assert plain not in said
    assert SECRET not in said
    assert f"{session.uuid}  message {first}  content  Key of this server …{plain[-4:]}" in said
    assert said.endswith("3 secrets.\n")
    code, said = find_secrets(str(session.uuid), "--json")
    records = [(one["kind"], one["record"]) for one in json.loads(said)["secrets"]]
    assert records == [("message", str(first))]
    assert ("message", str(other)) not in records


def test_where_there_is_none_all_is_well(session):
    make_message(session)
    assert find_secrets() == (0, "0 secrets.\n")


@pytest.mark.django_db
def test_a_session_that_is_not_there_is_told_and_not_called_clean():
    for name in (str(uuid.uuid4()), "quagga"):
        with pytest.raises(CommandError, match=f"There is no session {name}."):
            find_secrets(name)
