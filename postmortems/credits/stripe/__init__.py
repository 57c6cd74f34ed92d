"""Customers' balances at Stripe: each credit once, read back and compared (R-905)."""
