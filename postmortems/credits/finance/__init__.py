"""What finance reads: the overview of months, why each credit waits, reports (R-906)."""
