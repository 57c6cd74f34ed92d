"""A copy without policies and rules says how they are loaded, in their order (R-101, R-901)."""

import pytest
from django.core.management import call_command

from config.management.commands import up

pytestmark = pytest.mark.django_db


def test_an_empty_copy_says_what_is_loaded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # It closes its connections, because it goes on as the programs' parent; the story's one stays.
    monkeypatch.setattr(up.connections, "close_all", lambda: None)
    steps = [words.split()[1] for words in up._first_steps()]
    assert steps == ["load_policies", "load_credit_rules"]
    for command in steps:
        call_command(command)
    assert up._first_steps() == []
