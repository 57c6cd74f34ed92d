"""Settings of the bench: ours, plus the e-mail queue we compare with, tuned."""

from config.settings import *  # noqa: F403
from config.settings import DELIVERY_CONNECTIONS, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "post_office"]
# As many connections as ours has, large batches, and no log rows for what went well.
POST_OFFICE = {
    "BATCH_SIZE": 1000,
    "BATCH_DELIVERY_TIMEOUT": 600,
    "THREADS_PER_PROCESS": DELIVERY_CONNECTIONS,
    "LOG_LEVEL": 0,
    "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
}
