"""Screens of contracts, of the rules for service credits, and of the credits themselves."""

from . import batches, contracts, credits, exclusions, rules

__all__ = ["batches", "contracts", "credits", "exclusions", "rules"]
