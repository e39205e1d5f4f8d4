"""Django's settings, made from the environment that ``koda_web.env`` reads.

What ``sessions`` needs to know stands here under its ``KODA_…`` name; nobody else reads the environment.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import django_stubs_ext

from koda_web import __version__, env, logs, secret_key, sqlite

sqlite.use_fixed_library()
# Django's generic classes (Field, ModelAdmin, Form) then take their parameters while running, too.
django_stubs_ext.monkeypatch()

_environment = env.read(os.environ)

# --- Places ------------------------------------------------------------------------------------------------

BASE_DIR = Path(__file__).resolve().parent.parent
_IS_CHECKOUT = (BASE_DIR / "manage.py").is_file()
_ASSETS = BASE_DIR if _IS_CHECKOUT else BASE_DIR / "koda_web"
_DATA_HOME = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")

KODA_VERSION = __version__
KODA_DATA_DIR = (_environment.data_dir or (BASE_DIR / "var" if _IS_CHECKOUT else _DATA_HOME / "koda-web")).absolute()

# --- What the house is told --------------------------------------------------------------------------------

KODA_HOST = _environment.host
KODA_PORT = _environment.port
KODA_ALLOWED_HOSTS = _environment.allowed_hosts
KODA_PUBLIC_URL = _environment.public_url
KODA_PROXY_COUNT = _environment.proxy_count
KODA_MAX_BODY = int(_environment.max_body)
KODA_MAX_CONTENT = int(_environment.max_content)
KODA_RATE_LIMIT = _environment.rate_limit
KODA_STUCK_AFTER = timedelta(seconds=_environment.stuck_after)
KODA_STUCK_AFTER_BY_AGENT = {
    agent: timedelta(seconds=seconds) for agent, seconds in _environment.stuck_after_by_agent.items()
}
KODA_TIME_SAVED_PER_CALL = _environment.time_saved_per_call
KODA_RETENTION_COMPACTED_DAYS = _environment.retention_compacted_days
KODA_RETENTION_STALE_HOURS = _environment.retention_stale_hours
KODA_RETENTION_STALE_RUNNING = _environment.retention_stale_running
KODA_RETENTION_DELETED_DAYS = _environment.retention_deleted_days
KODA_RETENTION_EVENTS_DAYS = _environment.retention_events_days
KODA_WEBHOOK_PRIVATE = _environment.webhook_private
KODA_REDACT = _environment.redact
KODA_ADMITTED_REQUESTS = _environment.admitted_requests
KODA_QUEUED_REQUESTS = _environment.queued_requests
KODA_CLIENT_SECONDS = _environment.client_seconds
KODA_DRAIN_SECONDS = _environment.drain_seconds
KODA_METRICS_TOKEN = _environment.metrics_token.get_secret_value() if _environment.metrics_token else None
KODA_REDIS_URL = _environment.redis_url.get_secret_value() if _environment.redis_url else None
KODA_UNKNOWN_VARIABLES = env.unknown_names(os.environ)

# --- Security ----------------------------------------------------------------------------------------------

DEBUG = _environment.debug
SECRET_KEY = (
    _environment.secret_key.get_secret_value()
    if _environment.secret_key
    else secret_key.read_or_create(KODA_DATA_DIR / "secret-key")
)

_public = urlsplit(KODA_PUBLIC_URL or "")
_is_https = _public.scheme == "https"
ALLOWED_HOSTS = [
    *(KODA_ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]),
    *([_public.hostname] if _public.hostname else []),
]
CSRF_TRUSTED_ORIGINS = [KODA_PUBLIC_URL] if KODA_PUBLIC_URL else []
# Cookies know no ports: other applications on localhost must not overwrite ours.
SESSION_COOKIE_NAME = "koda_session"
CSRF_COOKIE_NAME = "koda_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _is_https
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = _is_https
# Agents on the same machine speak plain HTTP to the server, and no client of an API follows a redirect.
SECURE_REDIRECT_EXEMPT = [r"^api/", r"^v[12]/", r"^healthz$", r"^metrics$"]
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if _is_https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _is_https and KODA_PROXY_COUNT else None
# Whether the neighbouring subdomains speak HTTPS, and whether browsers should know it by heart, is not for
# one application among them to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = KODA_MAX_BODY
NINJA_NUM_PROXIES = KODA_PROXY_COUNT
NINJA_PAGINATION_MAX_LIMIT = 500

# --- Application -------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "servestatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_htmx",
    "ninja",
    "sessions.apps.SessionsConfig",
]
MIDDLEWARE = [
    "sessions.api.slashes.forgive_slashes",
    "sessions.api.middleware.ProblemMiddleware",
    "sessions.api.zeroclaw.paths.keep_keys_encoded",
    "django.middleware.security.SecurityMiddleware",
    "koda_web.static_files.serve_static_files",
    "koda_web.compression.PageGZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sessions.web.newcomers.OwnPasswordMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "sessions.web.doors.DoorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "sessions.web.methods.MethodPageMiddleware",
]
ROOT_URLCONF = "koda_web.urls"
ASGI_APPLICATION = "koda_web.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "koda_web.templating.PageTemplates",
        "DIRS": [_ASSETS / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"

LANGUAGE_CODE = "en"
USE_I18N = False  # there is one language; asking which, for each number of a page, takes time
TIME_ZONE = _environment.time_zone
USE_TZ = True

# --- Static files ------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = KODA_DATA_DIR / "static"
STATICFILES_DIRS = [_ASSETS / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = KODA_DATA_DIR / "files"
SERVESTATIC_ALLOW_ALL_ORIGINS = False

# --- Database, channel layer, cache ------------------------------------------------------------------------

_LANES = 8
"""Threads on which sockets and long polls reach the database, beside the admitted requests."""
_SPARE_CONNECTIONS = 9
"""For the hub's readers, the sockets' writers and the keeper's threads."""
_VANISHED = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""After how many seconds the machine of a database counts as gone that answers to nothing.

Left to itself the kernel tries for a quarter of an hour, and each slot waits as long.
"""


def _database(url: str | None) -> dict[str, Any]:
    if url is None:
        return sqlite.database(KODA_DATA_DIR / "koda.sqlite3")
    parsed: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=0)}
    if parsed["ENGINE"] == "django.db.backends.sqlite3":
        return sqlite.database(Path(str(parsed["NAME"])).absolute())
    # A connection kept on a thread is lost under ASGI, where each request has a thread of its own.
    most = KODA_ADMITTED_REQUESTS + _LANES + _SPARE_CONNECTIONS
    # Pauses between attempts double; an attempt that is given up soon begins anew with the next request.
    pool = {"min_size": 1, "max_size": most, "timeout": 10, "reconnect_timeout": 5}
    # As on SQLite, who waits for a lock in vain is told so after a while: a held one must not hold all slots.
    patience = {**_VANISHED, "options": f"-c lock_timeout={sqlite.BUSY_SECONDS}s"}
    options = {**patience, **parsed.get("OPTIONS", {}), "pool": pool}
    return {**parsed, "ENGINE": "koda_web.engines.postgresql", "ATOMIC_REQUESTS": False, "OPTIONS": options}


DATABASES = {"default": _database(_environment.database_url.get_secret_value() if _environment.database_url else None)}

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES: dict[str, dict[str, Any]] = {
    # Django's three hundred entries would be gone with as many keys, and what counted failures among them.
    name: {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": name,
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
    for name in ("default", "failures")
}
"""What is counted by the minute: calls, and apart from them failures to come in, which many calls must not push out."""
REDIS_PATIENCE = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
"""Seconds that a request waits for the cache: one that hangs must not take the server with it."""
if KODA_REDIS_URL:
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [KODA_REDIS_URL], "prefix": "koda"},
    }
    CACHES = {
        name: {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": KODA_REDIS_URL,
            "KEY_PREFIX": "koda",
            "OPTIONS": REDIS_PATIENCE,
        }
        for name in CACHES
    }

# --- Log ---------------------------------------------------------------------------------------------------

LOGGING = logs.configure(json=_environment.log_format == "json", level=_environment.log_level)
