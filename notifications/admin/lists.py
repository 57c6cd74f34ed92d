"""The console's screens for lists of subscribers: import with a dry run, and export (R-807, S23, S35)."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any, BinaryIO, cast

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action

from notifications import exports, imports, limits, sheets, waiting
from notifications.imports import Verdict
from notifications.models import Subscriber
from notifications.models.audience import SubscriberQuerySet

FOLDER = "admin/notifications/subscriber"
KIND = "subscribers"
#: Without the permission ``export_all`` (S35), in a day.
ROWS_A_DAY = 1_000
EXPORTS_AN_HOUR = 10
DAY = timedelta(days=1)
#: Whom an export may hold.
WHO = {"all": "Everybody, with who left and who never confirmed", "active": "Only those who are told now"}


class ListsMixin:
    """Two buttons above the list of subscribers. Opening a screen changes nothing; every act is a POST."""

    admin_site: Any

    def has_import_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.import_subscriber"))

    def has_export_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.export_subscriber"))

    @action(description="Import", icon="upload", permissions=["import"], url_path="import")
    def import_people(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and "confirm" in request.POST:
            return _bring_in(request)
        context = self.admin_site.each_context(request) | {
            "title": "Import subscribers",
            "opts": Subscriber._meta,
            "largest": sheets.LARGEST // 1_000_000,
            "first_column": "Address",
            "nothing": "There is nobody to import in this file.",
            "others": "The command import_subscribers --dry-run names them all.",
            "list_url": reverse("admin:notifications_subscriber_changelist"),
            "import_url": reverse("admin:notifications_subscriber_import_people"),
        }
        if request.method == "POST":
            context |= _try_out(request)
        page = "admin/notifications/imports/report.html" if "report" in context else f"{FOLDER}/import.html"
        return TemplateResponse(request, page, context, status=422 if "problem" in context else 200)

    @action(description="Export", icon="download", permissions=["export"], url_path="export")
    def export_people(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST":
            return _hand_out(request)
        unlimited = request.user.has_perm("notifications.export_all")
        counts = {"all": _people("all").count(), "active": _people("active").count()}
        context = self.admin_site.each_context(request) | {
            "title": "Export subscribers",
            "opts": Subscriber._meta,
            "choices": [
                (who, words, counts[who], unlimited or counts[who] <= ROWS_A_DAY) for who, words in WHO.items()
            ],
            "unlimited": unlimited,
            "rows_a_day": ROWS_A_DAY,
        }
        return TemplateResponse(request, f"{FOLDER}/export.html", context)


def _try_out(request: HttpRequest) -> dict[str, Any]:
    """The dry run of an upload; the file waits under its owner's name for the button."""
    owner = request.user.pk or 0
    waiting.forget(owner, KIND)
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        return {"problem": "Choose a file first."}
    at = timezone.now()
    try:
        report = imports.run(cast(BinaryIO, file.file), at=at, dry=True)
    except sheets.BadFile as problem:
        return {"problem": str(problem)}
    return {
        "report": report,
        "new": report.counts[Verdict.NEW],
        "counts": [(verdict.label, report.counts[verdict]) for verdict in Verdict],
        "hidden": report.total - report.counts[Verdict.NEW] - len(report.shown),
        "waiting": waiting.keep(file, owner=owner, kind=KIND, at=at) if report.counts[Verdict.NEW] else None,
    }


def _bring_in(request: HttpRequest) -> HttpResponse:
    """The button under the report. Pressed twice it imports once: whoever takes the file away runs it."""
    back = HttpResponseRedirect(reverse("admin:notifications_subscriber_changelist"))
    found = waiting.take(request.POST["confirm"], owner=request.user.pk or 0, kind=KIND)
    if found is None:
        messages.warning(request, "This file is no longer here. Was it imported already? If not, upload it again.")
        return back
    report = imports.run(BytesIO(found), at=timezone.now(), dry=False)
    new, total = report.counts[Verdict.NEW], report.total
    _log(request, ADDITION, "Import", f"Imported {new} of {total} lines.")
    messages.success(request, f"{new} of {total} lines imported. Nobody was mailed.")
    return back


def _people(who: str) -> SubscriberQuerySet:
    people = Subscriber.objects.active() if who == "active" else Subscriber.objects.all()
    return people.filter(erased_at__isnull=True)


def _hand_out(request: HttpRequest) -> HttpResponseBase:
    """The file itself, after the limits have agreed (S35, S41) and the log knows."""
    who, at = request.POST.get("who", ""), timezone.now()
    if who not in WHO:
        raise PermissionDenied
    people, most = _people(who), None
    rows = people.count()
    if not request.user.has_perm("notifications.export_all"):
        # Not one more than was counted, however many sign up meanwhile.
        most = rows
        if not limits.take("export rows", str(request.user.pk), most=ROWS_A_DAY, per=DAY, at=at, amount=rows):
            _log(request, CHANGE, "Export", f"Refused: {rows} subscribers.")
            raise PermissionDenied
    if not limits.take("export", str(request.user.pk), most=EXPORTS_AN_HOUR, per=limits.HOUR, at=at):
        return HttpResponse(
            f"At most {EXPORTS_AN_HOUR} exports an hour. Please try again later.\n",
            status=429,
            headers={"Retry-After": "3600", "Content-Type": "text/plain; charset=utf-8"},
        )
    _log(request, CHANGE, "Export", f"Exported {rows} subscribers ({who}).")
    lines = exports.stream(people, bom="bom" in request.POST, most=most)
    return StreamingHttpResponse(lines, headers=exports.as_file("subscribers", at))


def _log(request: HttpRequest, flag: int, what: str, words: str) -> None:
    LogEntry.objects.create(
        user_id=request.user.pk or 0,
        content_type=ContentType.objects.get_for_model(Subscriber),
        object_repr=what,
        action_flag=flag,
        change_message=words,
    )
