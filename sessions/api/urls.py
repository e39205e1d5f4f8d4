"""Where the contracts are mounted, health and figures, and the end of every path below `/api/`."""

from django.urls import URLPattern, URLResolver, path, re_path

from sessions.api.health import healthz
from sessions.api.metrics import metrics
from sessions.api.middleware import unknown_path
from sessions.api.native.api import api as native
from sessions.api.zeroclaw.api import api as zeroclaw

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", native.urls),
    path("api/zeroclaw/", zeroclaw.urls),
    path("healthz", healthz),
    path("metrics", metrics),
    # Also keeps Django from redirecting to the same path with a slash.
    re_path(r"^api(?:/.*)?$", unknown_path),
]
