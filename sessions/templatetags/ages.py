"""Times and figures as people say them: `4 m 12 s`, `4 m ago`, `142 k`. Between number and unit stands a narrow space.

A `<time data-tick>` is moved on by page.js; what the server writes is true at `now` and needs no script.
"""

from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

from sessions.models.prepared import MOST_COUNTED

register = template.Library()

NARROW = "\u202f"
DASH = "\N{EN DASH}"
"""What stands where a figure is unknown."""
UNKNOWN = SafeString(f'<span class="dim" title="not reported">{DASH}</span>')
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_THOUSAND, _MILLION, _BILLION = 10**3, 10**6, 10**9
_SHORT_SECONDS = 10
_KEPT = 2_000
"""Moments whose words are kept: pages are opened again and again, and most of their times are those of before."""
_ROUNDED_FROM = 10_000


@register.filter
def span(value: timedelta | float | None) -> str:
    """Return a duration: `0.2 s`, `42 s`, `6 m 10 s`, `1 h 02 m`, `3 d`; unknown is a dash."""
    if value is None:
        return DASH
    seconds = max(0.0, value.total_seconds() if isinstance(value, timedelta) else float(value))
    if seconds < _SHORT_SECONDS and seconds != int(seconds):
        return f"{seconds:.1f}{NARROW}s"
    return whole_span(int(seconds))


def whole_span(seconds: int) -> str:
    """Return a duration in whole seconds, as ages on the page show it."""
    minutes, rest = divmod(seconds, _MINUTE)
    if seconds >= _DAY:
        return f"{seconds // _DAY}{NARROW}d"
    if seconds >= _HOUR:
        return f"{minutes // _MINUTE}{NARROW}h{NARROW}{minutes % _MINUTE:02}{NARROW}m"
    return f"{minutes}{NARROW}m{NARROW}{rest:02}{NARROW}s" if minutes else f"{seconds}{NARROW}s"


@register.filter
def hours(seconds: int | None) -> str:
    """Return a sum of times, which is no age and is not counted in days: `40 s`, `3 h 20 m`, `1,204 h`."""
    if seconds is None:
        return DASH
    if seconds < _DAY:
        return whole_span(seconds)
    return f"{round(seconds / _HOUR):,}{NARROW}h"


def past(seconds: int) -> str:
    """Return how long ago it was, in one unit up to an hour: `42 s ago`, `11 m ago`, `1 h 02 m ago`, `3 d ago`."""
    if _MINUTE <= seconds < _HOUR:
        return f"{seconds // _MINUTE}{NARROW}m ago"
    return f"{whole_span(seconds)} ago"


@register.simple_tag
def age(since: datetime | None, now: datetime) -> SafeString:
    """Return how long it is since `since`, ticking; unknown is a grey dash."""
    return _ticking(since, now, tick="age")


@register.simple_tag
def ago(at: datetime | None, now: datetime) -> SafeString:
    """Return when it was, as `4 m ago`, ticking; unknown is a grey dash."""
    return _ticking(at, now, tick="ago")


@register.simple_tag
def clock(at: datetime | None) -> SafeString:
    """Return the time of day, with the exact time in its title."""
    return UNKNOWN if at is None else _clock(at, timezone.get_current_timezone())


@lru_cache(maxsize=_KEPT)
def _clock(at: datetime, zone: tzinfo) -> SafeString:
    text = f"{timezone.localtime(at, zone):%H:%M}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _exact(at, zone), text)


@register.filter
def iso_day(at: datetime) -> str:
    """Return the day as scripts compare it: `2026-11-25`, in the server's zone."""
    return _iso_day(at, timezone.get_current_timezone())


@lru_cache(maxsize=_KEPT)
def _iso_day(at: datetime, zone: tzinfo) -> str:
    return f"{timezone.localtime(at, zone):%Y-%m-%d}"


@register.filter
def exact(at: datetime | None) -> str:
    """Return the time to the second with its zone: `Wed 25 Nov 2026, 14:16:03 UTC`."""
    if at is None:
        return ""
    return _exact(at, timezone.get_current_timezone())


@lru_cache(maxsize=_KEPT)
def _exact(at: datetime, zone: tzinfo) -> SafeString:
    local = timezone.localtime(at, zone)
    return escape(f"{_date(local.date())}, {local:%H:%M:%S} {local.tzname()}")


@lru_cache(maxsize=1000)
def _date(day: date) -> str:
    """Return a date in words: a page has hundreds of times, and few days."""
    return date_format(day, "D j M Y")


@register.simple_tag
def day(at: datetime, now: datetime) -> SafeString:
    """Return the day as people say it: today, yesterday, `Mon 23 Nov`, with the year when it is another.

    A page that is left open says it anew after `end_of_day`.
    """
    local, today = timezone.localtime(at).date(), timezone.localtime(now).date()
    return format_html('<span data-day="{}">{}</span>', f"{local:%Y-%m-%d}", _day(local, today))


@register.simple_tag
def end_of_day(now: datetime) -> int:
    """Return when the day ends in the server's zone, in milliseconds as scripts count them."""
    tomorrow = timezone.localtime(now).date() + timedelta(days=1)
    return int(timezone.make_aware(datetime.combine(tomorrow, time())).timestamp() * 1000)


def _day(local: date, today: date) -> str:
    if local == today:
        return "Today"
    if local == today - timedelta(days=1):
        return "Yesterday"
    return date_format(local, "D j M" if local.year == today.year else "D j M Y")


@register.filter
def figure(value: int | None) -> str:
    """Return an amount: whole with commas up to four digits, then `142 k`, `1.2 M`; unknown is a dash."""
    if value is None:
        return DASH
    if value < _ROUNDED_FROM:
        return f"{value:,}"
    for size, unit in ((_BILLION, "G"), (_MILLION, "M")):
        if value >= size - size // 2000:
            return f"{value / size:.1f}{NARROW}{unit}"
    return f"{round(value / _THOUSAND)}{NARROW}k"


@register.filter
def commas(value: int | None) -> str:
    """Return a sum to check, with all its digits; unknown is a dash."""
    return DASH if value is None else f"{value:,}"


@register.filter
def reported(value: int | None) -> str:
    """Return a sum of tokens of a kind that not every provider tells; nothing told is a dash.

    The ledger adds up and does not keep apart who told 0 and who told nothing.
    """
    return commas(value or None)


@register.filter
def counted(value: int) -> str:
    """Return a count of rows, which goes up to `MOST_COUNTED`: `9,999`, `10,000+`."""
    return f"{MOST_COUNTED:,}+" if value > MOST_COUNTED else f"{value:,}"


@register.filter
def size(value: int) -> str:
    """Return a size in bytes as `812 B`, `4.1 kB`, `5.2 MB`."""
    if value < _THOUSAND:
        return f"{value}{NARROW}B"
    for amount, unit in ((_MILLION, "kB"), (_BILLION, "MB"), (10**12, "GB")):
        if value < amount:
            return f"{value * 1000 / amount:.1f}{NARROW}{unit}"
    return f"{value / 10**12:.1f}{NARROW}TB"


def _ticking(at: datetime | None, now: datetime, *, tick: str) -> SafeString:
    if at is None:
        return UNKNOWN
    seconds = max(0, int((now - at).total_seconds()))
    words = past(seconds) if tick == "ago" else whole_span(seconds)
    return SafeString(f'<time datetime="{at.isoformat()}" data-tick="{tick}" title="{exact(at)}">{words}</time>')
