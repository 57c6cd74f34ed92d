"""Static files are served whole, also while they are being worked on."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings
from whitenoise.middleware import WhiteNoiseMiddleware


def missing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=404)


def test_a_file_that_changed_after_the_start_is_served_whole(
    settings: Settings, tmp_path: Path, rf: RequestFactory
) -> None:
    """A length remembered from the start once cut a script in the middle of a line."""
    settings.STATICFILES_DIRS = [tmp_path]
    settings.STATIC_ROOT = tmp_path / "none"
    settings.STATIC_ROOT.mkdir()
    script = tmp_path / "app.js"
    script.write_text("one();")
    serve = WhiteNoiseMiddleware(missing)
    for words in ("one();", "one(); two();"):
        script.write_text(words)
        answer = serve(rf.get("/static/app.js"))
        assert (answer["Content-Length"], b"".join(answer)) == (str(len(words)), words.encode())
