"""What every test may lean on. Fixtures of one app live in that app's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

#: Longer games of the property tests: ``pytest --hypothesis-profile=properties``.
settings.register_profile("properties", max_examples=1_000, deadline=None)
#: Those of money, which ask no database.
settings.register_profile("arithmetic", max_examples=10_000, deadline=None)

#: Whoever asks for one of these, by whatever way, asks a database.
DATABASE = frozenset({"db", "transactional_db", "live_server"})
#: These start whole programs, which ask the database that the environment names.
PROGRAMS = Path(__file__).parent / "config"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks no database: it has nothing to say about PostgreSQL and is run once (``make test``)."""
    for item in items:
        asks = item.get_closest_marker("django_db") or DATABASE & set(getattr(item, "fixturenames", ()))
        if not asks and PROGRAMS not in item.path.parents:
            item.add_marker("once")
