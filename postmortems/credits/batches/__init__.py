"""What goes to billing: closed months as files that never change, and who is told (R-905)."""
