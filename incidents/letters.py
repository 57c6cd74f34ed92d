"""Letters to the contacts of Enterprise customers that use what is affected (R-803).

A letter replaces nothing: a contact who subscribed as well gets the news too, because the two say
different things, and because unsubscribing from one must not end the other. Each letter names, of
the components that are affected, those its customer uses; customers that use the same get the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from incidents import clock, grid, timeline
from incidents.enums import DutyKind, Setting, Verb
from incidents.models import Incident
from incidents.words import fill, find_placeholders, sentence
from notifications import outbox, suppression
from notifications.enums import Channel, Tier
from notifications.models import Announcement, Brand, Contact, Customer
from notifications.outbox import Letter
from status import ledger, publishing, reach, reading
from status.enums import OVER, Level
from status.markup import render
from status.models import Component, Notice
from status.publishing import Draft

#: Words for a policy that has none of its own: what the public reads, and what it means for this customer.
DEFAULT = """We write to you directly because **{{issue}}** concerns what you use: {{impact}}.

{{update}}

You can reach us at {{support}}."""
#: Words for whoever read what is corrected now.
CORRECTED = """We wrote to you about **{{issue}}** and have corrected what we said. It now reads:

{{update}}

What you use of it stands like this now: {{impact}}.

You can reach us at {{support}}."""
#: Words for whoever was told of trouble that there never was.
HARMLESS = """We wrote to you about **{{issue}}**.

{{update}}

What you use of it stands like this now: {{impact}}.

You can reach us at {{support}}."""
#: For words that do not say it themselves.
IMPACT = "Of what you use, this concerns: {{impact}}."
BUTTON = "Follow it on the status page"
#: What fills itself differently for each customer.
OWN = "impact"
_CHUNK = 1_000


@dataclass(frozen=True)
class Mailing:
    """Who is written to: each group of addresses with the affected components its customers use, by name.

    ``left_out``: so many addresses may not be mailed; ``silent``: customers without a contact.
    """

    groups: tuple[tuple[tuple[Component, ...], tuple[str, ...]], ...] = ()
    customers: tuple[str, ...] = ()
    left_out: int = 0
    silent: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return sum(len(addresses) for _, addresses in self.groups)


def mailing(components: Iterable[Component]) -> Mailing:
    """The contacts of Enterprise customers that use any of ``components``, or a whole group of theirs.

    An address that is a contact of several customers is written to once, about what any of them uses.
    Three queries; one more for each further thousand addresses.
    """
    by_topic: dict[int, list[Component]] = defaultdict(list)
    for component in components:
        for topic in reach.topics_of(component):
            by_topic[topic.pk].append(component)
    names, used = _users(by_topic)
    if not names:
        return Mailing()
    spelled: dict[str, str] = {}
    wanted: dict[str, set[Component]] = defaultdict(set)
    served: dict[str, set[int]] = defaultdict(set)
    contacts = Contact.objects.filter(customer__in=names).order_by("pk").values_list("customer_id", "email")
    for customer, email in contacts:
        key = email.casefold()
        spelled.setdefault(key, email)
        wanted[key] |= used[customer]
        served[key].add(customer)
    keys = list(spelled)
    slices = (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))
    refused = {key for some in slices for key in suppression.among(Channel.EMAIL, some)}
    groups: dict[tuple[Component, ...], list[str]] = defaultdict(list)
    for key in spelled.keys() - refused:
        groups[tuple(sorted(wanted[key], key=_by_name))].append(spelled[key])
    reached = set().union(*(served[key] for key in spelled.keys() - refused))
    known = set().union(*served.values())
    return Mailing(
        groups=tuple((theirs, tuple(sorted(groups[theirs]))) for theirs in sorted(groups, key=_names)),
        customers=tuple(sorted(names[customer] for customer in reached)),
        left_out=len(refused),
        silent=tuple(sorted(names[customer] for customer in names.keys() - known)),
    )


def lane(notice: Notice) -> str:
    """The lane of the letters about a notice."""
    return f"letters:{notice.public_id}"


def were_written(notice: Notice | None) -> bool:
    """Whether anybody was written to before: then they hear how it ends (R-804). One query."""
    return notice is not None and Announcement.objects.filter(lane=lane(notice)).exists()


def letter(text: str, levels: Mapping[Component, Level], *, title: str, url: str = "", reference: str = "") -> Letter:
    """The letter for customers that use just the components of ``levels``.

    ``text`` is Markdown in which only ``{{impact}}`` may be left; where it never stood it is said at the end.
    """
    if OWN not in find_placeholders(text):
        text = f"{text}\n\n{IMPACT}"
    said = sentence((component.name, level.label) for component, level in levels.items())
    paragraphs = render(fill(text, {OWN: said})).text.split("\n\n")
    return Letter(title, tuple(paragraphs), BUTTON if url else "", url, reference=reference)


def support(brand: Brand) -> str:
    """Where customers reach us, in words for a letter."""
    return f"{brand.support_email} or {brand.support_url}" if brand.support_url else brand.support_email


def write_as_asked(
    incident: Incident,
    draft: Draft,
    text: str | None,
    channels: Collection[str],
    held: Mapping[int, Level],
    *,
    by: User | None,
    at: datetime,
) -> None:
    """The letters about what ``draft`` said: where a person asked, else where the policy or an earlier letter does.

    ``text`` empty: nobody asked; None: nobody was asked, the policy decides. What is told to nobody
    (no ``channels``) is not written either, unless it is over (R-804).
    """
    over = draft.phase in OVER
    loud = over or bool(channels)
    if text is None and loud and grid.cells(incident.severity).get(grid.LETTERS) == Setting.ON:
        text = DEFAULT
    if not text and loud and were_written(incident.notice):
        text = DEFAULT
    if text:
        found = write(incident, _filled(text, incident, draft.body), held, over=over, by=by, at=at)
        remark = "" if found.count else "Nobody was to write to: no Enterprise customer uses what is affected."
        clock.meet(incident, DutyKind.ENTERPRISE_LETTERS, by=by, at=at, remark=remark)


def correct(incident: Incident, body: str, *, by: User | None, at: datetime) -> None:
    """The letters that correct: to customers, if any were written to before. ``body`` stands on the page already.

    What has not left yet of older letters is overtaken only by better words for the newest update: how it
    went on stands in no correction of what was said before.
    """
    notice = incident.notice
    if notice is None or not were_written(notice):
        return
    write(
        incident,
        _filled(CORRECTED, incident, body),
        ledger.levels(notice.components.all()),
        over=notice.phase in OVER,
        by=by,
        at=at,
        headline=publishing.CORRECTION,
        overtakes=reading.told(notice.updates.all())[0].body == body,
    )


def write(
    incident: Incident,
    text: str,
    held: Mapping[int, Level],
    *,
    over: bool,
    by: User | None,
    at: datetime,
    headline: str = "",
    overtakes: bool = True,
) -> Mailing:
    """Write the letters, and into the timeline to whom; the caller holds the incident's row.

    ``text`` as for ``letter``; ``held`` says, by id, at what level components are or were; ``headline``
    as for ``publishing.subject``; ``overtakes`` as for ``outbox.write_letters``. Raises ``lint.Unsendable`` (R-111).
    """
    notice = incident.notice
    assert notice is not None
    components = notice.components.select_related("topic", "group__topic")
    found = mailing(components)
    if not found.count:
        return found
    facts = {"title": incident.told_title, "url": reading.permalink(notice), "reference": incident.reference}
    written = [
        (letter(text, {one: held.get(one.pk, Level.OPERATIONAL) for one in theirs}, **facts), addresses)
        for theirs, addresses in found.groups
    ]
    outbox.write_letters(
        written,
        subject=publishing.subject_of(notice, headline),
        brand=incident.brand,
        lane=lane(notice),
        over=over,
        at=at,
        overtakes=overtakes,
    )
    timeline.record(
        incident, Verb.WROTE, by=by, at=at, words=text, letters=found.count, customers=list(found.customers)
    )
    return found


def _filled(text: str, incident: Incident, body: str) -> str:
    """With what is the same for every customer."""
    return fill(text, {"update": body, "issue": incident.told_title, "support": support(incident.brand)})


def _users(by_topic: Mapping[int, list[Component]]) -> tuple[dict[int, str], dict[int, set[Component]]]:
    """Names of the Enterprise customers that use any of these topics, and what they use. One query."""
    uses = Customer.topics.through.objects.filter(topic__in=by_topic, customer__tier=Tier.ENTERPRISE)
    names: dict[int, str] = {}
    used: dict[int, set[Component]] = defaultdict(set)
    for customer, name, topic in uses.values_list("customer_id", "customer__name", "topic_id"):
        names[customer] = name
        used[customer].update(by_topic[topic])
    return names, used


def _by_name(component: Component) -> tuple[str, int]:
    return component.name, component.pk


def _names(components: tuple[Component, ...]) -> list[tuple[str, int]]:
    return [_by_name(component) for component in components]
