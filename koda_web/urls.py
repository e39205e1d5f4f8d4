"""Which door answers at which path."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("sessions.api.urls")),
    path("", include("sessions.web.urls")),
]
