"""Screens of contracts, of the rules for service credits, and of the credits themselves."""

from . import contracts, credits, rules

__all__ = ["contracts", "credits", "rules"]
