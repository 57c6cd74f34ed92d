"""Which words there are to start from: by policy, brand and where it stands (R-206).

A template of a brand takes the place of the general one of the same policy, phase and name; each
language of a template belongs to the template it translates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from incidents import letters
from incidents.models import Policy, UpdateTemplate
from notifications.models import Brand
from status.enums import Phase


@dataclass(frozen=True)
class Offer:
    """A template as the form offers it; ``replaced_for``: ids of brands that have words of their own instead."""

    template: UpdateTemplate
    replaced_for: str

    @property
    def policy(self) -> Policy:
        return self.template.policy


def offers(templates: Sequence[UpdateTemplate]) -> list[Offer]:
    """All of them, for a form on which the brand can be chosen."""
    return [Offer(one, " ".join(str(pk) for pk in sorted(replaced_for(one, templates)))) for one in templates]


def offered(policies: Collection[int], phases: Collection[Phase]) -> list[UpdateTemplate]:
    """Originals of these policies, of every brand, each with its translations. Two queries."""
    found = UpdateTemplate.objects.filter(policy__in=policies, phase__in=phases, translates=None)
    return list(found.select_related("policy", "brand").prefetch_related("translations"))


def spoken_by(templates: Iterable[UpdateTemplate], brand: Brand | None) -> list[UpdateTemplate]:
    """Those that ``brand`` speaks with."""
    templates = list(templates)
    return [template for template in templates if speaks(template, brand.pk if brand else None, templates)]


def speaks(template: UpdateTemplate, brand: int | None, among: Sequence[UpdateTemplate]) -> bool:
    """Whether ``brand`` (by id) speaks with it: its own words, or general ones that it has none of its own for."""
    if template.brand_id is not None:
        return template.brand_id == brand
    return brand not in replaced_for(template, among)


def replaced_for(template: UpdateTemplate, among: Sequence[UpdateTemplate]) -> set[int]:
    """Ids of the brands that have words of their own in place of these."""
    if template.brand_id is not None:
        return set()
    return {other.brand_id for other in among if other.brand_id is not None and _place(other) == _place(template)}


def _place(template: UpdateTemplate) -> tuple[int, str, str]:
    return template.policy_id, template.phase, template.name


def translated(template: UpdateTemplate, language: str) -> UpdateTemplate | None:
    """The same words in another language."""
    return next((one for one in template.translations.all() if one.language == language), None)


def start(template: UpdateTemplate, languages: Iterable[str]) -> dict[str, str]:
    """What choosing it writes, by the name of the field; empty in languages that it is not put into."""
    words = {
        "body": template.body.strip(),
        "sms": template.sms,
        "chat": template.chat.strip(),
        "own_letter": letter_of(template),
    }
    for language in languages:
        said = translated(template, language)
        words |= {
            f"body_{language}": said.body.strip() if said else "",
            f"sms_{language}": said.sms if said else "",
            f"chat_{language}": said.chat.strip() if said else "",
        }
    return words


def letter_of(template: UpdateTemplate | None) -> str:
    """The words of a letter to start from."""
    return (template.letter.strip() if template else "") or letters.DEFAULT
