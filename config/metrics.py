"""``/metrics`` for Prometheus: what the database knows of deliveries and duties, and nothing of a process (F22).

Any web process answers the same, so one of them is asked. Hidden until ``METRICS_TOKEN`` is set.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from incidents.models import Obligation
from notifications import progress
from notifications.audit import RULES
from notifications.channels import registry
from notifications.dialects import rows
from notifications.enums import Channel, Pool, Silence
from notifications.models import Announcement, AuditRun, ChannelState, Endpoint, Suppression

_SCHEME = "Bearer "


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Eight queries, however much there is. 404 while no token is set, 401 for another one."""
    if not settings.METRICS_TOKEN:
        raise Http404
    if not _knows_token(request):
        return HttpResponse("Unauthorized\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    collected = CollectorRegistry()
    collected.register(_Deliveries(timezone.now()))
    return HttpResponse(
        generate_latest(collected), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


def _knows_token(request: HttpRequest) -> bool:
    said = request.headers.get("Authorization", "")
    given = said.removeprefix(_SCHEME) if said.startswith(_SCHEME) else ""
    return hmac.compare_digest(given.encode("utf-8", "replace"), settings.METRICS_TOKEN.encode())


class _Deliveries(Collector):
    def __init__(self, at: datetime) -> None:
        self.at = at

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing beforehand: otherwise everything would be collected twice."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._audit()
        yield self._fates()
        yield self._due()
        yield GaugeMetricFamily(
            "heliograph_announcements_unexpanded",
            "Updates whose recipients are not all written down.",
            value=Announcement.objects.unexpanded().count(),
        )
        yield from self._channels()
        yield self._endpoints()
        yield self._suppressed()
        yield from self._obligations()

    def _audit(self) -> Iterator[GaugeMetricFamily]:
        run = AuditRun.objects.latest_finished()
        found = {each["id"]: each["count"] for each in run.findings} if run else {}
        wrong = GaugeMetricFamily(
            "heliograph_audit_findings", "What the last audit found that must never be, by rule.", labels=["rule"]
        )
        for rule in RULES if run else ():
            wrong.add_metric([rule.id], found.get(rule.id, 0))
        yield wrong
        age = (self.at - run.finished_at).total_seconds() if run and run.finished_at else float("inf")
        yield GaugeMetricFamily(
            "heliograph_audit_age_seconds", "Since the last audit; +Inf: there was none.", value=age
        )

    def _fates(self) -> GaugeMetricFamily:
        told = GaugeMetricFamily(
            "heliograph_deliveries",
            f"Messages of the last 24 hours, the newest {progress.NEWEST:,} of them.",
            labels=["channel", "fate"],
        )
        for (channel, fate), count in sorted(progress.recent(self.at).items()):
            told.add_metric([channel, fate], count)
        return told

    def _due(self) -> GaugeMetricFamily:
        """One look at the beginning of each pool's part of the claim's index."""
        first = "(SELECT MIN(next_at) FROM notifications_delivery WHERE fate = 'pending' AND pool = '{}')"
        # The words of an enum.
        [found] = rows("SELECT " + ", ".join(first.format(pool.value) for pool in Pool), [])
        age = GaugeMetricFamily(
            "heliograph_due_age_seconds", "How long the oldest message that could leave has waited.", labels=["pool"]
        )
        for pool, moment in zip(Pool, found, strict=True):
            age.add_metric([pool.value], max(0.0, (self.at - _read(moment)).total_seconds()) if moment else 0.0)
        return age

    def _channels(self) -> Iterator[GaugeMetricFamily]:
        off = GaugeMetricFamily(
            "heliograph_channel_off", "1: it is not set up, nothing leaves by it.", labels=["channel"]
        )
        resting = GaugeMetricFamily(
            "heliograph_channel_resting_seconds",
            "Since when nothing leaves because the far end is in trouble; ours: because of us.",
            labels=["channel", "ours"],
        )
        for channel in Channel:
            off.add_metric([channel.value], float(bool(registry.off(channel))))
        for state in ChannelState.objects.filter(resting_since__isnull=False):
            since = state.resting_since or self.at
            resting.add_metric([state.channel, str(state.ours).lower()], (self.at - since).total_seconds())
        yield off
        yield resting

    def _endpoints(self) -> GaugeMetricFamily:
        counted = Endpoint.objects.aggregate(
            failing=Count("pk", filter=Q(failing_since__isnull=False, quarantined_at__isnull=True)),
            quarantined=Count("pk", filter=Q(quarantined_at__isnull=False)),
        )
        ends = GaugeMetricFamily("heliograph_endpoints", "Far ends that fail, or are in quarantine.", labels=["state"])
        for state, count in counted.items():
            ends.add_metric([state], count)
        return ends

    def _suppressed(self) -> GaugeMetricFamily:
        counted = dict(Suppression.objects.order_by().values_list("reason").annotate(Count("pk")))
        listed = GaugeMetricFamily(
            "heliograph_suppressed_addresses", "Addresses that nothing is sent to, by reason.", labels=["reason"]
        )
        for reason in Silence:
            listed.add_metric([reason.value], counted.get(reason, 0))
        return listed

    def _obligations(self) -> Iterator[GaugeMetricFamily]:
        """What is owed and not done yet (R-301)."""
        counted = Obligation.objects.open().aggregate(
            all=Count("pk"), overdue=Count("pk", filter=Q(limit_at__lt=self.at))
        )
        yield GaugeMetricFamily("heliograph_obligations_open", "What is owed and not done.", value=counted["all"])
        yield GaugeMetricFamily(
            "heliograph_obligations_overdue", "What is owed past its hard limit.", value=counted["overdue"]
        )


def _read(moment: datetime | str) -> datetime:
    """SQLite answers with words, in UTC."""
    read = parse_datetime(moment) if isinstance(moment, str) else moment
    assert read is not None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
