"""The demo organisation: believable, invented, and the same every time."""
