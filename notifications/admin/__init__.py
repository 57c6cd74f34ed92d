"""Screens of the audience, of what was sent to it, and of the ways there and back."""

from . import audience, brands, channels, colleagues, deliveries, endpoints, replies

__all__ = ["audience", "brands", "channels", "colleagues", "deliveries", "endpoints", "replies"]
