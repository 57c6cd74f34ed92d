"""What can be done about a target or a webhook: each act a button with its own question (R-1204).

Opening one changes nothing; what is refused is said in the act's own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from notifications import endpoints, targets
from notifications.admin.endpoint_states import is_webhook, state
from notifications.admin.target_forms import SpanForm
from notifications.channels.port import Verdict
from notifications.measures import number
from notifications.models import Endpoint

SENT = (Verdict.ACCEPTED, Verdict.DELIVERED)
#: Nobody has asked for anything there, or does any more.
UNTRIED = ("ended", "unconfirmed")
ACTS = ["try_out", "send_test", "pause", "resume", "rotate", "replay", "remove", "end"]


class ActsMixin:
    """The buttons above a target or webhook; each is there for whoever may and while it fits."""

    log_change: Callable[..., Any]

    def known(self, request: HttpRequest, object_id: Any) -> Endpoint | None:
        """Asked once per request, however many buttons want to know."""
        known: dict[str, Endpoint | None] = vars(request).setdefault("_endpoints", {})
        key = str(object_id)
        if key not in known:
            pk = number(key)
            known[key] = Endpoint.objects.select_related("subscriber").filter(pk=pk).first() if pk else None
        return known[key]

    def _offered(self, request: HttpRequest, object_id: Any, fits: Callable[[Endpoint], bool]) -> bool:
        if not request.user.has_perm("notifications.change_endpoint"):
            return False
        endpoint = self.known(request, object_id)
        return endpoint is not None and fits(endpoint)

    def has_try_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: not is_webhook(row) and state(row) not in UNTRIED)

    def has_event_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: is_webhook(row) and state(row) in ("on", "failing"))

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: state(row) in ("on", "failing"))

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: state(row) in ("paused", "stopped"))

    def has_webhook_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: is_webhook(row) and state(row) in ("on", "failing"))

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: not is_webhook(row))

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, lambda row: is_webhook(row) and state(row) != "ended")

    @action(
        description="Test it",
        icon="send",
        permissions=["try"],
        dialog={
            "title": "Post a test message?",
            "description": "It appears there at once and says that it is a test. On a social account everybody can "
            "read it; a paging service opens an alert, which somebody has to close there.",
            "form_submit_text": "Post it",
        },
    )
    def try_out(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        def test(row: Endpoint) -> str:
            answer = targets.try_out(row.subscriber)
            if answer.verdict in SENT:
                return f"{answer.reason} Look whether it arrived."
            messages.error(request, f"It did not arrive. {answer.reason}")
            return ""

        return self._act(request, object_id, test, "Tried out.")

    @action(
        description="Test it",
        icon="send",
        permissions=["event"],
        dialog={
            "title": "Send a test event?",
            "description": "A component event of a component that is none, signed like all others.",
            "form_submit_text": "Send it",
        },
    )
    def send_test(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        def test(row: Endpoint) -> str:
            endpoints.send_test(row.subscriber, at=timezone.now())
            return "The test is on its way. What became of it stands in the delivery log."

        return self._act(request, object_id, test, "Test sent.")

    @action(
        description="Pause",
        icon="pause",
        permissions=["pause"],
        dialog={
            "title": "Pause this target?",
            "description": "Nothing is sent there until you resume it, not even what is queued now.",
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        def pause(row: Endpoint) -> str:
            targets.pause(row.subscriber, at=timezone.now())
            return f"{row} is paused."

        return self._act(request, object_id, pause, "Paused.")

    @action(
        description="Resume",
        icon="play_arrow",
        permissions=["resume"],
        dialog={
            "title": "Resume?",
            "description": "It hears what is published from now on; what it missed stays missed. A webhook is tried "
            "with a test event first.",
            "form_submit_text": "Resume",
        },
    )
    def resume(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        def resume(row: Endpoint) -> str:
            if is_webhook(row):
                endpoints.come_back(row.subscriber, at=timezone.now())
                return "A test event is on its way: when it arrives, the webhook is on again."
            targets.resume(row.subscriber)
            return f"{row} hears what is published from now on."

        return self._act(request, object_id, resume, "Resumed.")

    @action(
        description="New secret",
        icon="key",
        permissions=["webhook"],
        dialog={
            "title": "Make a new signing secret?",
            "description": "You see it once, to hand it to its owner. The old one signs beside it for 24 hours.",
            "form_submit_text": "Make a new secret",
        },
    )
    def rotate(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        row = self.known(request, object_id)
        if row is None:
            return self._back(object_id)
        secret = endpoints.rotate(row.subscriber, at=timezone.now())
        self.log_change(request, row, "New signing secret.")
        shown = HttpResponse(render_to_string("admin/notifications/endpoint/secret.html", {"secret": secret}))
        # In place of the question, and nowhere else.
        headers = {"HX-Retarget": "#dialog", "HX-Reselect": "#dialog", "HX-Reswap": "outerHTML"}
        for name, value in (headers | {"Cache-Control": "no-store"}).items():
            shown.headers[name] = value
        return shown

    @action(
        description="Send again",
        icon="replay",
        permissions=["webhook"],
        dialog={
            "title": "Send its messages again?",
            "description": "In the order of publishing, with the same ids, so that its receiver can tell copies.",
            "form_submit_text": "Send again",
            "form_class": SpanForm,
        },
    )
    def replay(self, request: HttpRequest, form: SpanForm, object_id: str) -> HttpResponse:
        def replay(row: Endpoint) -> str:
            at, by = timezone.now(), cast(AbstractBaseUser, request.user)
            again = endpoints.replay_since(row.subscriber, at - form.span, at=at, by=by)
            return f"{again} queued again." if again else "There is nothing to send again."

        return self._act(request, object_id, replay, "Messages sent again.")

    @action(
        description="Remove",
        icon="delete",
        permissions=["remove"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this target?",
            "description": "Nothing more is sent there and its address is forgotten. What was sent stays in the log.",
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        def remove(row: Endpoint) -> str:
            targets.remove(row.subscriber, at=timezone.now())
            return f"{row} is removed."

        return self._act(request, object_id, remove, "Removed.", gone=True)

    @action(
        description="End",
        icon="delete",
        permissions=["end"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "End this webhook?",
            "description": "Nothing more is sent there. Only its owner can begin it again.",
            "form_submit_text": "End it",
        },
    )
    def end(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        def end(row: Endpoint) -> str:
            endpoints.end(row.subscriber, at=timezone.now(), reason="Ended by our staff.")
            return f"{row} has ended."

        return self._act(request, object_id, end, "Ended.")

    def _act(
        self, request: HttpRequest, object_id: str, act: Callable[[Endpoint], str], entry: str, *, gone: bool = False
    ) -> HttpResponse:
        """Do it, say it, write it down; what is refused is said in the act's own words."""
        row = self.known(request, object_id)
        if row is None:
            return self._back("")
        try:
            if words := act(row):
                messages.success(request, words)
            self.log_change(request, row, entry)
        except (ValidationError, endpoints.NotAllowed) as refused:
            said = refused.messages if isinstance(refused, ValidationError) else [str(refused)]
            messages.error(request, " ".join(said))
            gone = False
        return self._back("" if gone else object_id)

    def _back(self, object_id: str) -> HttpResponse:
        where = ("change", [object_id]) if object_id else ("changelist", [])
        response = HttpResponse()
        response.headers["HX-Redirect"] = reverse(f"admin:notifications_endpoint_{where[0]}", args=where[1])
        return response
