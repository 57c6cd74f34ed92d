"""One short file per wire a message can travel (R-801)."""
