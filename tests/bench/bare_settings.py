"""The product's settings with one address."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.bare"
