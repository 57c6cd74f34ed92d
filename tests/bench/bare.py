"""A bare Django view with the product's usual middleware, serving the same bytes: what the page would cost."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.bare_settings"
application = get_wsgi_application()

from django.conf import settings  # noqa: E402 -- the settings stand only now

CONTENT = (settings.PAGE_DIR / "index.html").read_bytes()


def status(request: HttpRequest) -> HttpResponse:
    return HttpResponse(CONTENT)


urlpatterns = [path("status", status)]
