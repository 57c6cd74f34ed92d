"""Screens of contracts, of the rules for service credits, and of the credits themselves."""
