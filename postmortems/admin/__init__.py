"""Screens of contracts, of the rules for service credits, and of the credits themselves."""

from . import batches, contracts, credits, exclusions, incident_links, rules

__all__ = ["batches", "contracts", "credits", "exclusions", "incident_links", "rules"]
