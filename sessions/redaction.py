"""Secrets in what agents send: found by their form, and replaced before they are stored when KODA_REDACT says so.

The rules are those of detect-secrets that find what has a form of its own, and a few for what it does not know. Its
others guess by entropy or by words nearby, and call much of what agents write a secret. Every rule takes time in
proportion to the text, or a sender could hold up the server with it.
"""

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from django.conf import settings

SHOWN = 4
"""Characters at the end of a secret that stay, so that its owner knows which one it was."""
_SHORT = 16
"""Of a secret that is shorter nothing stays: they would be much of it."""

_OF_THE_LIBRARY = {
    "aws.AWSKeyDetector": ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws", "AWS"),
    "azure_storage_key.AzureStorageKeyDetector": ("AccountKey=",),
    "github_token.GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "gitlab_token.GitLabTokenDetector": ("gl", "GR1348941"),
    "mailchimp.MailchimpDetector": ("-us",),
    "pypi_token.PypiTokenDetector": ("pypi-",),
    "sendgrid.SendGridDetector": ("SG.",),
    "slack.SlackDetector": ("xox", "hooks.slack.com"),
    "square_oauth.SquareOAuthDetector": ("sq0csp",),
    "stripe.StripeDetector": ("k_live_",),
    "twilio.TwilioKeyDetector": ("AC", "SK"),
}
"""By module and class: words of which one is in every text that the rule finds something in, looked for first."""
_OURS = {
    "Key of this server": (("koda_", "stkpk_api_"), r"\b(?:koda|stkpk_api)_[A-Za-z0-9_-]{43}"),
    "Webhook Secret": (("whsec_",), r"\bwhsec_[A-Za-z0-9+/]{24,}={0,2}"),  # Standard Webhooks, and so this server
    "API key": (("sk-",), r"\bsk-[A-Za-z0-9_-]{20,}"),  # OpenAI, Anthropic and those who follow them
    "GitHub Token": (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
    "Google API Key": (("AIza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    "Hugging Face Token": (("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
    "xAI API Key": (("xai-",), r"\bxai-[A-Za-z0-9]{40,}"),
    "npm Token": (("npm_",), r"\bnpm_[A-Za-z0-9]{36}"),
    # RFC 3986, 3.2.1, and an @ or brackets that nobody encoded. What a shell or a program puts in is none.
    "Basic Auth Credentials": (
        ("://",),
        r"""://[^\s:/?#@"'`<>\\]*:(?!\$\{[^}\s]*\}@|\$[A-Z_]+@)([^\s/?#"'`<>\\]+)@""",
    ),
}
_CHAIN = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){2,}")
"""What a JSON Web Token stands in: parts between dots. It begins where a part does, or each letter would be a start."""
_HEADER = re.compile(r"\beyJ[A-Za-z0-9_-]{10}")
_PART = 10
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"[A-Za-z0-9+/=\s\\:,.()@<>-]++")
_CUT_BODY = re.compile(
    r"(?:(?:\s|\\++[nrt])*+(?:[A-Za-z][A-Za-z-]{1,30}+:[ ][^\n\\]{0,200}+(?=\n|\\)|[A-Za-z0-9+/=]{16,}+))*+"
)
"""What follows the first line of a key whose last is missing: headers, and lines of base64."""
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{16}")

Spans = Iterator[tuple[int, int]]


def _tokens(text: str) -> Spans:
    """Yield JSON Web Tokens: three parts, of which two are JSON objects in base64 (RFC 7515, 3.1)."""
    for chain in _CHAIN.finditer(text):
        parts = chain[0].split(".")
        at, free = chain.start(), 0
        for number, (first, second, third) in enumerate(zip(parts, parts[1:], parts[2:], strict=False)):
            is_long = second.startswith("eyJ") and len(second) > _PART and len(third) >= _PART
            if is_long and number >= free and (header := _HEADER.search(first)):
                yield at + header.start(), at + len(first) + len(second) + len(third) + 2
                free = number + 3
            at += len(first) + 1


def _private_keys(text: str) -> Spans:
    """Yield private keys from their first line to their last, or as far as there is one: each stretch is walked once.

    PEM (RFC 7468) and OpenPGP (RFC 9580, 6.2), whose line ends may be written as they are within JSON.
    """
    ends = _END.finditer(text)
    end = next(ends, None)
    begins = [(match.start(), match.end()) for match in _BEGIN.finditer(text)]
    for (start, body), (limit, _) in pairwise([*begins, (len(text), 0)]):
        while end is not None and end.start() < body:
            end = next(ends, None)
        if end is not None and end.end() <= limit and _BODY.fullmatch(text, body, end.start()):
            yield start, end.end()
            continue
        cut = _CUT_BODY.match(text, body, limit)
        if cut and _BASE64.search(text, *cut.span()):
            yield start, cut.end()


_WALKED: dict[str, tuple[tuple[str, ...], Callable[[str], Spans]]] = {
    "JSON Web Token": (("eyJ",), _tokens),
    "Private Key": (("PRIVATE KEY",), _private_keys),
}
"""Those that one pattern would look for from each place anew."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret in a text: its kind, and where it stands."""

    kind: str
    start: int
    end: int

    def name_in(self, text: str) -> str:
        """Return the kind of this secret of `text` and its last characters, by which its owner knows it."""
        is_short = self.end - self.start < _SHORT
        return self.kind if is_short else f"{self.kind} …{text[self.end - SHOWN : self.end]}"


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    words: tuple[str, ...]
    spans: Callable[[str], Spans]


def find(text: str) -> list[Secret]:
    """Return the secrets of a text, in order; of those that overlap the first and longest."""
    found = sorted(_matches(text), key=lambda secret: (secret.start, -secret.end))
    apart: list[Secret] = []
    for secret in found:
        if not apart or secret.start >= apart[-1].end:
            apart.append(secret)
    return apart


def redact(text: str) -> str:
    """Return the text with `[redacted: kind …last]` in the place of every secret."""
    parts = []
    end = 0
    for secret in find(text):
        parts += [text[end : secret.start], f"[redacted: {secret.name_in(text)}]"]
        end = secret.end
    return "".join([*parts, text[end:]]) if parts else text


def clean(value: Any) -> Any:
    """Return a text, or a JSON value with all its texts and names, as it may be stored: redacted if KODA_REDACT is on.

    It stands below the nouns: whatever keeps what somebody wrote calls it, and no door needs to.
    """
    return value if value is None or not settings.KODA_REDACT else _clean(value)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {_clean(name): _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value


def _matches(text: str) -> Iterator[Secret]:
    """Yield what each rule finds."""
    for rule in _rules():
        if any(word in text for word in rule.words):
            yield from (Secret(rule.kind, start, end) for start, end in rule.spans(text))


def _spans_of(pattern: re.Pattern[str], *, group: int = 0) -> Callable[[str], Spans]:
    return lambda text: (match.span(group) for match in pattern.finditer(text))


@cache
def _rules() -> list[_Rule]:
    """Return all rules; the library is loaded when the first text is looked at."""
    rules = [_Rule(kind, words, spans) for kind, (words, spans) in _WALKED.items()]
    for kind, (words, text) in _OURS.items():
        pattern = re.compile(text)
        rules.append(_Rule(kind, words, _spans_of(pattern, group=pattern.groups)))  # a group is the secret itself
    for place, words in _OF_THE_LIBRARY.items():
        module, _, name = place.partition(".")
        detector = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
        rules += [_Rule(detector.secret_type, words, _spans_of(pattern)) for pattern in detector.denylist]
    return rules
