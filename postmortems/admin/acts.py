"""Acts on credits, one or many: a page that says how many and how much before anything is done (R-904, F11).

A GET shows and changes nothing. The chosen ids travel in one field, so that what was shown is what is acted on,
ten thousand as well as one; each act is refused by itself for a credit that was done already.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from postmortems.admin import places
from postmortems.credits import book
from postmortems.credits.book import Outcome
from postmortems.credits.finance import why
from postmortems.enums import WAITING, CreditKind, CreditState
from postmortems.forms.credits import Form, InvoiceForm, ReasonForm, SureForm
from postmortems.models import Credit
from postmortems.templatetags.money import words

TEMPLATE = "admin/postmortems/credit/act.html"
#: More than so many at once are done in parts.
MOST = 10_000
#: So many are named on the page, and so many refusals in the answer.
NAMED, REFUSED = 20, 5
#: What fits where nothing else is asked: ids and commas.
_ID_LENGTH = 20


@dataclass(frozen=True)
class Act:
    """``states``: of which it may be asked. ``words``: what it does, before it is done. ``hint``: at its field."""

    slug: str
    label: str
    title: str
    words: str
    done: str
    states: tuple[CreditState, ...]
    run: Callable[[Collection[int], str, User, datetime], Outcome]
    permission: str = places.APPROVE
    form: type[Form] = ReasonForm
    hint: str = "It stays in the history, and others read it."
    icon: str = "check"


ACTS = {
    act.slug: act
    for act in (
        Act(
            "approve",
            "Approve",
            "Approve credits?",
            "They become a debt to the customer and go to billing when the month is closed. What is above the limit, "
            "a lowering or a reversal waits for a second person after you.",
            "approved",
            WAITING,
            lambda ids, typed, by, at: book.approve(ids, by=by, at=at),
            form=SureForm,
        ),
        Act(
            "return",
            "Return",
            "Return credits?",
            "Nothing is credited. They are proposed again only when the assessment changes.",
            "returned",
            (CreditState.PROPOSED, CreditState.SECOND),
            lambda ids, typed, by, at: book.give_back(ids, reason=typed, by=by, at=at),
            icon="undo",
        ),
        Act(
            "stop",
            "Stop the holding time",
            "Stop the holding time?",
            "They do not approve by themselves any more: a person has to.",
            "stopped",
            (CreditState.PROPOSED,),
            lambda ids, typed, by, at: book.stop(ids, reason=typed, by=by, at=at),
            icon="front_hand",
        ),
        Act(
            "keep",
            "Customer keeps it",
            "Let the customers keep it?",
            "What was approved stays as it is, although the facts would give less now.",
            "kept by the customer",
            (CreditState.DECISION, CreditState.SECOND),
            lambda ids, typed, by, at: book.keep(ids, reason=typed, by=by, at=at),
            icon="volunteer_activism",
        ),
        Act(
            "apply",
            "Mark as applied",
            "Mark as applied to an invoice?",
            "For billing systems that do not answer by themselves. The customer is written to.",
            "marked as applied",
            (CreditState.EXPORTED,),
            lambda ids, typed, by, at: book.apply(ids, invoice=typed, by=by, at=at),
            permission=places.EXPORT,
            form=InvoiceForm,
            hint="Its number in your billing system. It stands on the customer's statement.",
            icon="receipt",
        ),
    )
}


@dataclass(frozen=True)
class Look:
    """What is about to be done. ``totals``: (number, words of the sum) by currency; ``others``: in the wrong state."""

    number: int
    totals: list[tuple[int, str]]
    others: list[tuple[int, str]]
    named: list[Credit]
    barred: list[tuple[str, int]]

    @property
    def rest(self) -> int:
        return self.number - len(self.named)


def offered(credit: Credit, by: User) -> list[Act]:
    """The acts that this person may ask for on this credit, as it stands; what is usual first."""
    found = [
        act
        for act in ACTS.values()
        if credit.state in act.states and by.has_perm(act.permission) and _is_meant(act, credit)
    ]
    # Nobody takes money back because that button comes first.
    return sorted(found, key=lambda act: act.slug != "keep")


def label(act: Act, credit: Credit) -> str:
    """What its button says: to approve a lowering is to take money back."""
    return "Take it back" if act.slug == "approve" and _lowers(credit) else act.label


def _lowers(credit: Credit) -> bool:
    return credit.amount_minor < 0 and credit.kind != CreditKind.REVERSAL


def _is_meant(act: Act, credit: Credit) -> bool:
    if act.slug == "stop":
        return credit.holds_until is not None
    # A lowering is left to the customer, even while it waits for its second person; everything else is returned.
    lowers = _lowers(credit)
    return not (act.slug == "return" and lowers) and not (act.slug == "keep" and not lowers)


def act(request: HttpRequest, slug: str) -> HttpResponse:
    """The page of one act: shown with ``?ids=1,2``, done by a POST of its form."""
    chosen = ACTS.get(slug)
    if chosen is None:
        raise Http404("There is no such act.")
    places.refuse_strangers(request, chosen.permission)
    ids = _ids(request.POST.get("ids") or request.GET.get("ids", ""))
    if request.method == "POST" and request.POST.get("sure") == "yes":
        return _do(request, chosen, ids)
    return show(request, chosen, ids)


def show(
    request: HttpRequest,
    chosen: Act,
    ids: Collection[int],
    form: Form | None = None,
    back: str = "",
    *,
    more: bool = False,
) -> HttpResponse:
    """What would be done; nothing is."""
    by, at = cast(User, request.user), timezone.now()
    look = _look(chosen, ids, by, at)
    chosen = _as_meant(chosen, look)
    context = admin.site.each_context(request) | {
        "title": chosen.title,
        "act": chosen,
        "look": look,
        # More were chosen than are done at once.
        "cut": MOST if more else 0,
        "ids": ",".join(str(pk) for pk in ids),
        "form": form or chosen.form(),
        "back": back or places.back(request, reverse(places.LIST)),
        "at": at,
    }
    return render(request, TEMPLATE, context)


def _as_meant(chosen: Act, look: Look) -> Act:
    """The same act in the words of what it does to these: to approve nothing but lowerings is to take money back."""
    if chosen.slug != "approve" or look.rest or not look.named or not all(_lowers(credit) for credit in look.named):
        return chosen
    words_ = "What was approved for the customer is lowered to what the facts give now. Two people have to say so."
    return replace(chosen, label="Take it back", title="Take it back?", words=words_)


def _do(request: HttpRequest, chosen: Act, ids: list[int]) -> HttpResponse:
    form = chosen.form(request.POST)
    if not form.is_valid():
        return show(request, chosen, ids, form)
    typed = form.cleaned_data.get("reason") or form.cleaned_data.get("invoice") or ""
    try:
        outcome = chosen.run(ids, typed, cast(User, request.user), timezone.now())
    except book.NotAllowed as refused:
        form.add_error(None, str(refused))
        return show(request, chosen, ids, form)
    tell(request, chosen, outcome)
    return redirect(places.back(request, reverse(places.LIST)))


def tell(request: HttpRequest, chosen: Act, outcome: Outcome) -> None:
    """What was done, how much, and each refusal in words."""
    second = [credit for credit in outcome.done if credit.state == CreditState.SECOND]
    done = [credit for credit in outcome.done if credit.state != CreditState.SECOND]
    if done:
        messages.success(request, f"{_counted(len(done))} {chosen.done}: {_total(done)}.")
    if second:
        verb = "waits" if len(second) == 1 else "wait"
        messages.info(request, f"{_counted(len(second))} {verb} for a second person now: {_total(second)}.")
    reasons: dict[str, list[Credit]] = defaultdict(list)
    for credit, words_ in outcome.refused:
        reasons[words_].append(credit)
    for words_, credits in list(reasons.items())[:REFUSED]:
        named = ", ".join(credit.key for credit in credits[:REFUSED])
        more = f" and {len(credits) - REFUSED:,} more" if len(credits) > REFUSED else ""
        messages.warning(request, f"Not done, {named}{more}: {words_}")
    if len(reasons) > REFUSED:
        rest = sum(len(credits) for credits in list(reasons.values())[REFUSED:])
        messages.warning(request, f"Not done, {rest:,} more for other reasons: each says on its page why it waits.")
    if not outcome.done and not outcome.refused:
        messages.info(request, "Nothing was chosen that could be acted on.")


def _look(chosen: Act, ids: Collection[int], by: User, at: datetime) -> Look:
    """Three queries."""
    rows = Credit.objects.filter(pk__in=ids).order_by()
    counted = rows.values_list("state", "currency").annotate(Count("pk"), Sum("amount_minor"))
    going: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    others: Counter[str] = Counter()
    for state, currency, number, amount in counted:
        if state in chosen.states:
            going[currency][0] += number
            going[currency][1] += amount
        else:
            others[CreditState(state).label] += number
    going_on = rows.filter(state__in=chosen.states)
    light = going_on.select_related("contract_month__contract__customer", "assessment")
    named = list(light.defer("assessment__inputs", "assessment__facts").order_by("proposed_at", "pk")[:NAMED])
    whys = why.of(named, by=by, at=at) if chosen.slug == "approve" else {}
    barred = Counter(one.barred for one in whys.values() if one.barred)
    return Look(
        sum(number for number, _ in going.values()),
        [(number, words(amount, currency)) for currency, (number, amount) in sorted(going.items())],
        [(number, label) for label, number in others.items()],
        named,
        list(barred.items()),
    )


def _ids(typed: str) -> list[int]:
    """The chosen ids; 404 for what is none, or more than MOST."""
    if len(typed) > MOST * _ID_LENGTH:
        raise Http404("So many cannot be chosen at once.")
    found = [int(one) for one in typed.split(",") if one.isascii() and one.isdigit() and len(one) < 19]
    return list(dict.fromkeys(found))[:MOST]


def _counted(number: int) -> str:
    return f"{number:,} credit" if number == 1 else f"{number:,} credits"


def _total(credits: Collection[Credit]) -> str:
    sums: Counter[str] = Counter()
    for credit in credits:
        sums[credit.currency] += credit.amount_minor
    return ", ".join(words(amount, currency) for currency, amount in sorted(sums.items()))
