"""The API of service credits: what the console can ask, as JSON (R-1203)."""
