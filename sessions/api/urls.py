"""Where the contracts are mounted, health and figures, and the end of every path for programs."""

from django.urls import URLPattern, URLResolver, path, re_path

from sessions.api.health import healthz
from sessions.api.metrics import metrics
from sessions.api.middleware import unknown_path
from sessions.api.native.api import api as native
from sessions.api.stakpak.api import api as stakpak
from sessions.api.zeroclaw.api import api as zeroclaw

urlpatterns: list[URLPattern | URLResolver] = [
    # Ninja's own view of a root knows no such thing either, but asks a write for a CSRF token first.
    re_path(r"^(?:api/v1|api/zeroclaw|v1)/$", unknown_path),
    path("api/v1/", native.urls),
    path("api/zeroclaw/", zeroclaw.urls),
    path("v1/", stakpak.urls),
    path("healthz", healthz),
    path("metrics", metrics),
    # Also keeps Django from redirecting to the same path with a slash.
    re_path(r"^(?:api|v1|v2)(?:/.*)?$", unknown_path),
]
