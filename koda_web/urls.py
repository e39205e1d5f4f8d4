"""Which door answers at which path."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

# The doors are being built: each joins as soon as it is there.
urlpatterns: list[URLPattern | URLResolver] = [path("admin/", admin.site.urls)]
for _door in ("sessions.api", "sessions.web"):
    if find_spec(_door) and find_spec(f"{_door}.urls"):
        urlpatterns.append(path("", include(f"{_door}.urls")))
