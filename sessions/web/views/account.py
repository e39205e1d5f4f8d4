"""Signing in and out, and how the pages look to one reader."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from sessions.templatetags.shell import DENSITY_COOKIE, THEME_COOKIE
from sessions.web.forms import AppearanceForm
from sessions.web.requests import PageRequest

KEPT_FOR = timedelta(days=365)


class SignIn(LoginView):
    """Name and password; whoever is signed in already goes on."""

    template_name = "sessions/sign_in.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in; who never did, with a password that somebody else or `setup` chose, is asked for an own one."""
        user = form.get_user()
        is_first = user.last_login is None and user.is_staff
        response = super().form_valid(form)
        return redirect("admin:password_change") if is_first else response


class SignOut(LogoutView):
    """By POST only (Django's own rule), then back to the sign-in page."""


@require_POST
def appearance(request: PageRequest) -> HttpResponseRedirect:
    """Keep theme and density in cookies and go back to where the reader was."""
    form = AppearanceForm(request.POST)
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    response = redirect(target if is_ours else "web:wall")
    if form.is_valid():
        for cookie, name in ((THEME_COOKIE, "theme"), (DENSITY_COOKIE, "density")):
            response.set_cookie(
                cookie, form.cleaned_data[name], max_age=KEPT_FOR, samesite="Lax", httponly=True,
                secure=settings.SESSION_COOKIE_SECURE,
            )  # fmt: skip
    return response
