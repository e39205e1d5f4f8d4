"""Which door answers at which path."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from sessions.web.views import account

handler400 = "sessions.web.views.faults.misunderstood"
handler500 = "sessions.web.views.faults.failed"

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/login/", account.sign_in_for_admin),
    path("admin/", admin.site.urls),
    path("", include("sessions.api.urls")),
    path("", include("sessions.web.urls")),
    # Pages name their icon; what asks without reading them (the admin's sign-in, bookmarks) looks here.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("koda/favicon.svg"), permanent=False)),
]
