"""What somebody wants to hear, when, and in which language (R-802, R-1314)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import time
from typing import Any

from notifications.models import Subscriber, Topic

_TIMES = ("quiet_from", "quiet_until", "digest_at")
#: Written to the subscriber as they are.
_PLAIN = (
    "all_topics", "wants_incidents", "wants_maintenance", "least_rank", "follows_only", "language",
    "time_zone", *_TIMES,
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What somebody wants to hear. ``topics`` are ids of Topic; they count when ``all_topics`` is False.

    ``least_rank`` 1–4: told about incidents of this rank and worse (1 only the worst, 4 all).
    ``follows_only``: of nothing but the incidents they follow. Quiet hours (both ends or neither) and
    the digest are times of day in ``time_zone``, an IANA name.
    """

    all_topics: bool = True
    topics: tuple[int, ...] = ()
    wants_incidents: bool = True
    wants_maintenance: bool = True
    least_rank: int = 4
    follows_only: bool = False
    language: str = "en"
    time_zone: str = "UTC"
    quiet_from: time | None = None
    quiet_until: time | None = None
    digest_at: time | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {name: value and f"{value:%H:%M}" for name, value in self._times().items()}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Choice:
        """What ``as_json`` wrote, also before there were times."""
        times = {name: written[name] and time.fromisoformat(written[name]) for name in _TIMES if name in written}
        return cls(**{**written, **times, "topics": tuple(written["topics"])})

    @classmethod
    def of(cls, subscriber: Subscriber) -> Choice:
        plain = {name: getattr(subscriber, name) for name in _PLAIN}
        return cls(**plain, topics=tuple(subscriber.topics.values_list("pk", flat=True)))

    def write(self, subscriber: Subscriber) -> None:
        """Make it the choice of a subscriber, in the database; the caller holds the row's lock."""
        for name in _PLAIN:
            setattr(subscriber, name, getattr(self, name))
        subscriber.save(update_fields=_PLAIN)
        # Components may have gone between the question and the answer.
        subscriber.topics.set([] if self.all_topics else Topic.objects.filter(pk__in=self.topics))

    def _times(self) -> dict[str, time | None]:
        return {name: getattr(self, name) for name in _TIMES}
