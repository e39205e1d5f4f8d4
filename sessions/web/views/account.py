"""Signing in and out, and how the pages look to one reader."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages as toasts
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from sessions import rates
from sessions.exceptions import RateLimited
from sessions.models import Action, AuditEntry, Preference, who
from sessions.templatetags.shell import DENSITY_COOKIE, THEME_COOKIE
from sessions.web import browsers, newcomers
from sessions.web.forms import AppearanceForm
from sessions.web.requests import PageRequest, is_page_of_ours, return_to_referrer

KEPT_FOR = timedelta(days=365)


class SignIn(LoginView):
    """Name and password; whoever is signed in already goes on."""

    template_name = "sessions/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Look at the password, unless too many were tried from this address or for this name."""
        try:
            rates.count_sign_in(*_attempt(request))
        except RateLimited as error:
            return self._refused(error)
        return super().post(request, *args, **kwargs)

    def _refused(self, error: RateLimited) -> HttpResponse:
        """Return the form again, which says how long to wait; the password was not looked at."""
        form = self.get_form_class()(self.request)
        response = self.render_to_response(self.get_context_data(form=form, wait_seconds=error.retry_after_seconds))
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response["Retry-After"] = str(error.retry_after_seconds)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Note that somebody did not get in."""
        username, address = form.data.get("username", ""), rates.address_of(*_attempt(self.request)[1:])
        AuditEntry.objects.note_failure(username, address=address, now=timezone.now())
        return super().form_invalid(form)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in; who never did, with a password that somebody else chose, is asked for an own one.

        Who has the one that `setup` made gets to nothing else before (`sessions.web.newcomers`).
        """
        rates.forgive_sign_in(*_attempt(self.request))
        user = form.get_user()
        AuditEntry.objects.note(Action.SIGNED_IN, by=who(user), subject=user.get_username(), now=timezone.now())
        has_given_password = Preference.objects.has_given_password(user)
        is_first = has_given_password or (user.last_login is None and user.is_staff)
        response = super().form_valid(form)
        if has_given_password:
            newcomers.hold(self.request)
        return redirect(newcomers.own_password_url(response["Location"])) if is_first else response


def _attempt(request: HttpRequest) -> tuple[str, str | None, str]:
    """Return who tries to sign in, and whence."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return request.POST.get("username", ""), request.META.get("REMOTE_ADDR"), forwarded


@require_safe
def sign_in_for_admin(request: HttpRequest) -> HttpResponse:
    """Lead from the admin's own sign-in to ours, so that there is one door for passwords; who has no access is told."""
    if request.user.is_authenticated:
        raise PermissionDenied("The admin is for staff.")
    return redirect_to_login(request.GET.get("next", ""))


@require_safe
@login_required
def account(request: PageRequest) -> HttpResponse:
    """Show what concerns the reader alone: password, looks, and where else they are signed in."""
    count = sum(1 for _ in browsers.others(request))
    return render(request, "sessions/account.html", {"now": timezone.now(), "page": "account", "others_count": count})


@require_POST
@login_required
def sign_out_others(request: PageRequest) -> HttpResponseRedirect:
    """End the reader's sign-in in all other browsers."""
    with transaction.atomic():
        count = browsers.sign_out_others(request)
        _note(request, Action.SIGNED_OUT, other_browsers=count)
    toasts.info(request, f"Signed out of {count} other browser{'' if count == 1 else 's'}.")
    return redirect("web:account")


class Password(PasswordChangeView):
    """A password of one's own. Django ends the sign-in in other browsers with the old one."""

    template_name = "sessions/password.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        """Say whether the password is the one that was chosen for them."""
        facts = {"is_first": self._is_first(), "later_url": self._later_url(), "page": "account", "now": timezone.now()}
        return super().get_context_data(**facts, **more)

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Change it, and note that."""
        with transaction.atomic():
            _note(self.request, Action.PASSWORD_CHANGED)
            newcomers.let_go(self.request)
            return super().form_valid(form)

    def get_success_url(self) -> str:
        """Lead a newcomer to the page that they came for, others back."""
        toasts.info(self.request, "Your password is changed.")
        return self._later_url() if self._is_first() else reverse("web:account")

    def _later_url(self) -> str:
        wanted = self.request.GET.get("next", "")
        return wanted if is_page_of_ours(self.request, wanted) else reverse("web:wall")

    def _is_first(self) -> bool:
        return self.request.GET.get("first") == "1"


class SignOut(LogoutView):
    """By POST only (Django's own rule), then back to the sign-in page."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out, and note that."""
        if request.user.is_authenticated:
            _note(request, Action.SIGNED_OUT)
        return super().post(request, *args, **kwargs)


def _note(request: HttpRequest, action: Action, **detail: Any) -> None:
    """Note what the reader did to their own account."""
    by, name = who(request.user), request.user.get_username()
    AuditEntry.objects.note(action, by=by, subject=name, **detail)


@require_POST
def appearance(request: PageRequest) -> HttpResponseRedirect:
    """Keep theme and density in cookies and go back to where the reader was."""
    form = AppearanceForm(request.POST)
    response = return_to_referrer(request, otherwise="web:wall")
    if form.is_valid():
        for cookie, name in ((THEME_COOKIE, "theme"), (DENSITY_COOKIE, "density")):
            response.set_cookie(
                cookie, form.cleaned_data[name], max_age=KEPT_FOR, samesite="Lax", httponly=True,
                secure=settings.SESSION_COOKIE_SECURE,
            )  # fmt: skip
    return response
