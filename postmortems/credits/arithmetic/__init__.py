"""What a month comes to, as pure arithmetic: no clock, no database, no float (reliability.md 5.2)."""
