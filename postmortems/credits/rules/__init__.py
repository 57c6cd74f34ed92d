"""Rules for service credits: written, checked, put in force, and tried on past months (R-901, R-1308)."""
