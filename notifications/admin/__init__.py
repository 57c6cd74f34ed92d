"""Screens of the audience and of what was sent to it."""

from . import audience, brands, deliveries

__all__ = ["audience", "brands", "deliveries"]
