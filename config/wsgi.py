"""The web process: Django behind the pressed pages."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config.ready import Ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = Ready(get_wsgi_application(), settings.PAGE_DIR)
