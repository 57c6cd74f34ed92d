"""Whether the books are right: control accounts, a second way of computing, and the red light (R-906)."""
