"""Which door answers at which path."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

# The doors are being built: each joins as soon as it is there.
urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    *(
        path("", include(f"{door}.urls"))
        for door in ("sessions.api", "sessions.web")
        if find_spec(door) and find_spec(f"{door}.urls")
    ),
]
