"""What every test may lean on. Fixtures of one app live in that app's folder."""
