"""A statement as PDF: A4, text that can be selected, nothing fetched from anywhere (R-906).

The same statement gives the same bytes: its dates are the statement's own.
"""

from __future__ import annotations

from functools import cache

from django.template.loader import render_to_string

from . import Statement


class Unprintable(Exception):
    """PDF cannot be made on this machine; the text says what is missing, for people."""


def printed(statement: Statement) -> bytes:
    """The PDF. Raises Unprintable."""
    if reason := missing():
        raise Unprintable(reason)
    from weasyprint import HTML  # noqa: PLC0415 - megabytes, and system libraries that need not be there
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    html = render_to_string("postmortems/statement_print.html", {"statement": statement})
    # Neither the network nor this machine's files: what a customer is called must not make us read anything.
    nothing = URLFetcher(allowed_protocols=("data",), allow_redirects=False)
    pdf: bytes = HTML(string=html, url_fetcher=nothing).write_pdf()
    return pdf


@cache
def missing() -> str:
    """Why there is no PDF here; empty: there is. Asked once per process."""
    try:
        import weasyprint  # noqa: F401, PLC0415 - as above
    except (ImportError, OSError):
        return "PDF needs the system library Pango, which is not installed here (Debian: libpangoft2-1.0-0)."
    return ""


def filename(statement: Statement) -> str:
    """ASCII, whatever the customer is called."""
    plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in statement.customer.reference)
    return f"service-credits-{plain.strip('-').lower() or 'customer'}-{statement.at:%Y-%m-%d}.pdf"
