"""`/metrics`: figures for Prometheus, for whoever holds KODA_METRICS_TOKEN."""

import secrets
from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sessions import liveness
from sessions.api.problems import problem
from sessions.exceptions import NotFound, Unauthorized
from sessions.models import Lease, Liveness, Needs, Session

API_REQUESTS = Counter("koda_api_requests", "Answers of the API by method and status.", ["method", "status"])
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def count_answer(method: str | None, status: int) -> None:
    """Count one answer; what is no method of HTTP is counted as such, once for all of them."""
    API_REQUESTS.labels(method if method in _METHODS else "other", str(status)).inc()


@csrf_exempt  # What is sent here is refused by its method; no cookie counts.
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with all figures of this process and of the store; without a token set, answer nobody."""
    token: str | None = settings.KODA_METRICS_TOKEN
    if token is None:
        return problem(NotFound("Metrics are off: set KODA_METRICS_TOKEN."))
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
        return problem(Unauthorized("Send the token: Authorization: Bearer …"))
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


class StoreCollector(Collector):
    """Asks the store when Prometheus asks us; three queries, each over a small index."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Name nothing in advance: registering must not touch the database."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges."""
        running = GaugeMetricFamily("koda_sessions_running", "Running sessions by liveness.", labels=["liveness"])
        rows = Session.objects.active().running().values_list("liveness").annotate(count=Count("pk")).order_by()
        counts = dict(rows)
        for word in Liveness.values:
            running.add_metric([word], counts.get(word, 0))
        yield running

        waiting = GaugeMetricFamily("koda_sessions_waiting", "Sessions that wait for a person.", labels=["needs"])
        kinds = [need for need in Needs.values if need]
        waits = dict(Session.objects.active().waiting().values_list("needs").annotate(count=Count("pk")).order_by())
        for need in kinds:
            waiting.add_metric([need], waits.get(need, 0))
        yield waiting

        last = Lease.objects.last_run(liveness.WATCHDOG)
        age = float("nan") if last is None else (timezone.now() - last).total_seconds()
        yield GaugeMetricFamily("koda_watchdog_age_seconds", "Seconds since the watchdog looked.", value=age)


REGISTRY.register(StoreCollector())
