"""The environment: every ``KODA_…`` variable, its type, its default and its check.

Only ``koda_web.settings`` reads this module. Each variable has its heading in ``docs/settings.md``.
A wrong value stops the start, and all wrong values are told at once.
"""

import difflib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "KODA_"
SECRETS = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "METRICS_TOKEN")
"""Variables that may instead be read from the file that ``KODA_<NAME>_FILE`` names."""

_DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_SECRET_KEY_LENGTH = 50
_MIB = 1024 * 1024


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _read_pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [part.rpartition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and sign for name, sign, _ in pairs):
        msg = "must look like koda=300, reviewer=900"
        raise ValueError(msg)
    return {name.strip(): number.strip() for name, _, number in pairs}


def _off_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _check_public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "must look like https://koda.example.org"
        raise ValueError(msg)
    if parts.path.strip("/") or parts.query or parts.fragment:
        msg = "must be scheme and host only: Koda Web is served at the root of its host"
        raise ValueError(msg)
    _check_port(value)
    return f"{parts.scheme}://{parts.netloc}"


def _check_port(address: str) -> None:
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        msg = "has a port that is none"
        raise ValueError(msg) from error


def _check_scheme(value: SecretStr, *, schemes: tuple[str, ...]) -> SecretStr:
    scheme = urlsplit(value.get_secret_value()).scheme
    if scheme not in schemes:
        msg = f"must begin with one of {', '.join(f'{name}://' for name in schemes)}"
        raise ValueError(msg)
    return value


def _check_database_url(value: SecretStr) -> SecretStr:
    _check_scheme(value, schemes=_DATABASE_SCHEMES)
    try:
        parsed = dj_database_url.parse(value.get_secret_value())
    except Exception as error:
        msg = "cannot be read as a database address"
        raise ValueError(msg) from error
    if not parsed.get("NAME") or parsed["NAME"] == ":memory:":
        msg = "must name a database (for SQLite a file)"
        raise ValueError(msg)
    return value


def _check_redis_url(value: SecretStr) -> SecretStr:
    _check_scheme(value, schemes=_REDIS_SCHEMES)
    _check_port(value.get_secret_value())
    return value


def _check_secret_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _SECRET_KEY_LENGTH:
        msg = f"must have at least {_SECRET_KEY_LENGTH} characters"
        raise ValueError(msg)
    return value


def _check_time_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        msg = "is not a known time zone, such as UTC or Europe/Berlin"
        raise ValueError(msg) from error
    return value


_LONGEST_AGE = 36_500
_Age = Annotated[Annotated[int, Field(ge=1, le=_LONGEST_AGE)] | None, BeforeValidator(_off_is_none)]


class Environment(BaseSettings):
    """The values of all ``KODA_…`` variables; an empty variable counts as absent."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid")

    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8765
    debug: bool = False
    secret_key: Annotated[SecretStr, AfterValidator(_check_secret_key)] | None = None
    allowed_hosts: Annotated[list[str], NoDecode, BeforeValidator(_split)] = []
    public_url: Annotated[str, AfterValidator(_check_public_url)] | None = None
    proxy_count: Annotated[int, Field(ge=0, le=10)] = 0
    database_url: Annotated[SecretStr, AfterValidator(_check_database_url)] | None = None
    redis_url: Annotated[SecretStr, AfterValidator(_check_redis_url)] | None = None
    max_body: Annotated[ByteSize, Field(ge=_MIB)] = ByteSize(64 * _MIB)
    max_content: Annotated[ByteSize, Field(ge=1024)] = ByteSize(16 * _MIB)
    rate_limit: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_off_is_none)] = 6000
    stuck_after: Annotated[int, Field(ge=1)] = 300
    stuck_after_by_agent: Annotated[dict[str, Annotated[int, Field(ge=1)]], NoDecode, BeforeValidator(_read_pairs)] = {}
    time_saved_per_call: Annotated[
        dict[str, Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]], NoDecode, BeforeValidator(_read_pairs)
    ] = {}
    retention_compacted_days: _Age = None
    retention_stale_hours: _Age = None
    retention_stale_running: bool = False
    retention_deleted_days: _Age = None
    retention_events_days: _Age = None
    webhook_private: bool = False
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = "console"
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)] = "info"
    redact: Annotated[bool, BeforeValidator(_lower)] = False
    metrics_token: SecretStr | None = None
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = "UTC"
    admitted_requests: Annotated[int, Field(ge=1, le=512)] = 16
    queued_requests: Annotated[int, Field(ge=0)] = 256
    client_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    drain_seconds: Annotated[int, Field(ge=0, le=600)] = 15

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.max_content > self.max_body:
            msg = "KODA_MAX_CONTENT must not be larger than KODA_MAX_BODY: such a message could never arrive"
            raise ValueError(msg)
        return self


def variable_names() -> set[str]:
    """Return the name of every variable that is understood, those for files included."""
    plain = {f"{PREFIX}{name.upper()}" for name in Environment.model_fields}
    return plain | {f"{PREFIX}{name}_FILE" for name in SECRETS}


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return the ``KODA_…`` names of the environment that mean nothing here, sorted."""
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in variable_names())


def read(environ: Mapping[str, str]) -> Environment:
    """Read and check the whole environment.

    Raises ImproperlyConfigured with one line a fault: values that do not fit, secret files that cannot
    be read, and names that look like a slip of the pen. A name that resembles none of ours is left
    alone (the agents of this field use the same prefix) and reported by a system check.
    """
    secrets, faults = _read_secret_files(environ)
    faults += _find_misspelt(environ)
    environment = None
    try:
        environment = Environment(**secrets)
    except ValidationError as error:
        faults += [_describe(detail) for detail in error.errors(include_url=False)]
    if environment is None or faults:
        raise ImproperlyConfigured("\n  ".join(["Koda Web cannot start with this environment:", *faults]))
    return environment


def _read_secret_files(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    faults = []
    for name in SECRETS:
        variable = f"{PREFIX}{name}"
        path = environ.get(f"{variable}_FILE")
        if not path:
            continue
        if environ.get(variable):
            faults.append(f"{variable} and {variable}_FILE are both set: keep one")
            continue
        try:
            found[name.lower()] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{variable}_FILE: cannot read {path} ({error.__class__.__name__})")
            continue
        if not found[name.lower()]:
            faults.append(f"{variable}_FILE: {path} is empty")
    return found, faults


def _find_misspelt(environ: Mapping[str, str]) -> list[str]:
    faults = []
    for name in unknown_names(environ):
        near = difflib.get_close_matches(name, variable_names(), n=1, cutoff=0.85)
        faults += [f"{name} is unknown: did you mean {near[0]}?"] if near else []
    return faults


def _describe(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0]).upper()
    value = "" if name in SECRETS else f" (it is {detail['input']!r})"
    return f"{PREFIX}{name}: {message}{value}"
