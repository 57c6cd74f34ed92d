"""What a person may not see whole, they may not ask for in parts (reliability.md 4.1)."""

from __future__ import annotations

from django.http import HttpRequest

from notifications.masking import sees_addresses


class MaskedMixin:
    """Refuses to filter by ``masked_fields``, also by a typed URL, for who sees addresses masked."""

    masked_fields: tuple[str, ...]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        if lookup.partition("__")[0] in self.masked_fields and not sees_addresses(request.user):
            return False
        return bool(super().lookup_allowed(lookup, value, request))  # type: ignore[misc]  # the admin's
