"""Wiring: settings, urls, celery, the console. Imports from every floor; nothing imports it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
