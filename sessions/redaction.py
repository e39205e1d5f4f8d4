"""Secrets in what agents send: found by their form, and replaced before they are stored when KODA_REDACT says so.

The rules are those of detect-secrets that find what has a form of its own, and a few for what it does not know. Its
others guess by entropy or by words nearby, and call much of what agents write a secret. Every rule takes time in
proportion to the text, or a sender could hold up the server with it.
"""

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings

SHOWN = 4
"""Characters at the end of a secret that stay, so that its owner knows which one it was."""
_SHORT = 16
"""Of a secret that is shorter nothing stays: they would be much of it."""

_OF_THE_LIBRARY = {
    "aws.AWSKeyDetector": ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws", "AWS"),
    "azure_storage_key.AzureStorageKeyDetector": ("AccountKey=",),
    "basic_auth.BasicAuthDetector": ("://",),
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
    "API key": (("sk-",), r"\bsk-[A-Za-z0-9_-]{20,200}"),  # OpenAI, Anthropic and those who follow them
    "GitHub Token": (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
    "Google API Key": (("AIza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    "Hugging Face Token": (("hf_",), r"\bhf_[A-Za-z0-9]{30,60}"),
    "xAI API Key": (("xai-",), r"\bxai-[A-Za-z0-9]{40,120}"),
    "npm Token": (("npm_",), r"\bnpm_[A-Za-z0-9]{36}"),
    "JSON Web Token": (
        ("eyJ",),
        r"\beyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{10,1000}",
    ),
    "Private Key": (
        ("PRIVATE KEY-----",),
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,.-]{1,8000}?-----END [A-Z ]{0,30}PRIVATE KEY-----",
    ),
}


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
    pattern: re.Pattern[str]


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
    """Yield what each rule finds; a group of its pattern, if it has one, is the secret itself."""
    for rule in _rules():
        if not any(word in text for word in rule.words):
            continue
        for match in rule.pattern.finditer(text):
            start, end = match.span(rule.pattern.groups if rule.kind in _GROUPED else 0)
            yield Secret(rule.kind, start, end)


_GROUPED = {"Basic Auth Credentials"}
"""Kinds whose match holds more than the secret: a password in an address, of which the rest may stay."""


@cache
def _rules() -> list[_Rule]:
    """Return all rules; the library is loaded when the first text is looked at."""
    rules = [_Rule(kind, words, re.compile(pattern)) for kind, (words, pattern) in _OURS.items()]
    for place, words in _OF_THE_LIBRARY.items():
        module, _, name = place.partition(".")
        detector = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
        rules += [_Rule(detector.secret_type, words, pattern) for pattern in detector.denylist]
    return rules
