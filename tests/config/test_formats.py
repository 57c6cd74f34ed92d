"""The console names the zone of every moment it writes (R-1302)."""

from datetime import UTC, datetime

from django.utils.formats import date_format


def test_a_moment_is_written_in_24_hours_with_its_zone() -> None:
    assert date_format(datetime(2026, 11, 20, 23, 50, tzinfo=UTC), "DATETIME_FORMAT") == "20 Nov 2026, 23:50 UTC"
