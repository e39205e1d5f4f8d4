"""In how many browsers somebody is signed in, and the end of all others."""

from collections.abc import Iterator

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session as BrowserSession
from django.http import HttpRequest
from django.utils import timezone


def others(request: HttpRequest) -> Iterator[BrowserSession]:
    """Yield the other browsers in which the reader of `request` is signed in. Reads every session that still lasts."""
    own = str(request.user.pk)
    lasting = BrowserSession.objects.filter(expire_date__gt=timezone.now()).exclude(pk=request.session.session_key)
    for one in lasting.iterator():
        if one.get_decoded().get(SESSION_KEY) == own:
            yield one


def sign_out_others(request: HttpRequest) -> int:
    """End them; return how many there were."""
    keys = [one.pk for one in others(request)]
    BrowserSession.objects.filter(pk__in=keys).delete()
    return len(keys)
