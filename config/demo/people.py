"""Who works at the demo organisation: one login per role (reliability.md 4.1)."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings

ADMIN = "admin"
#: Letters and digits that cannot be mistaken for each other.
_SAFE = "abcdefghjkmnpqrstuvwxyz23456789"


def password_file() -> Path:
    """Where the demo's password is kept, readable by its owner only."""
    return Path(settings.VAR_DIR) / "demo-password"


def demo_password() -> str:
    """The password of every demo login: made once per folder, so that a second start prints the same."""
    path = password_file()
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("-".join("".join(secrets.choice(_SAFE) for _ in range(4)) for _ in range(3)) + "\n")
    return path.read_text().strip()
