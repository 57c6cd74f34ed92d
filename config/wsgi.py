"""The web process: Django behind the pressed pages."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config.encoding import ReadAsUtf8
from config.ready import Ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = Ready(ReadAsUtf8(get_wsgi_application()), settings.PAGE_DIR)
