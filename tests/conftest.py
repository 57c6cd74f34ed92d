"""What every test may lean on. Fixtures of one app live in that app's folder."""

from hypothesis import settings

#: Longer games of the property tests: ``pytest --hypothesis-profile=properties``.
settings.register_profile("properties", max_examples=1_000, deadline=None)
