"""Screens of contracts, of the rules for service credits, and of the credits themselves."""

from . import contracts, credits

__all__ = ["contracts", "credits"]
