"""What a request says of its own encoding is not believed (F17)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils.http import parse_header_parameters

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class ReadAsUtf8:
    """WSGI application: ``inner``, to which everything is UTF-8, as our pages and all who call us send it.

    Python knows encodings that are none for text, and Django meets them before it can answer anything;
    others (``unicode_escape``) make characters that no page can carry.
    """

    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if ";" in (kind := environ.get("CONTENT_TYPE", "")):
            environ["CONTENT_TYPE"] = _without_encoding(kind)
        return self._inner(environ, start_response)


def _without_encoding(kind: str) -> str:
    try:
        name, told = parse_header_parameters(kind)
    except (LookupError, ValueError):
        return "application/octet-stream"
    return f'{name}; boundary="{told["boundary"]}"' if "boundary" in told else name
