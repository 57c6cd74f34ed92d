"""What is written about running it is what runs: Procfile, units and proxy say the same as the code."""

import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings

from config import programs
from config.middleware import PUBLIC_POLICY

ROOT = Path(settings.BASE_DIR)
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
RUNNING = (ROOT / "docs" / "running.md").read_text()


def arguments(line: str) -> list[str]:
    """What stands after ``python``, without where to listen and what ``up`` merges into one process."""
    words = shlex.split(line)
    words = words[next(i for i, word in enumerate(words) if word.endswith("python") and words[i + 1] != "manage.py") :]
    kept = words[1:]
    for option in ("--host", "--port"):
        if option in kept:
            place = kept.index(option)
            del kept[place : place + 2]
    return [word for word in kept if word != "-B"]


@pytest.mark.parametrize("name", ["web", "worker"])
def test_the_procfile_and_the_unit_start_what_up_starts(name: str) -> None:
    child = programs.web("127.0.0.1", 8000, {}) if name == "web" else programs.worker({})
    ours = arguments(shlex.join(["python", *list(child.argv)[1:]]))
    unit = re.search(rf"heliograph@{name}\.service\.d.*?ExecStart=\nExecStart=(.*?)\n", RUNNING, re.DOTALL)
    assert arguments(PROCFILE[name]) == ours
    assert arguments(unit[1]) == ours


def test_every_program_has_a_line_and_a_unit() -> None:
    assert set(PROCFILE) == {"release", "web", "worker", "beat", "dispatch"}
    assert re.findall(r"heliograph@(\w+)\.service\.d", RUNNING) == ["web", "worker", "beat", "dispatch"]


def test_the_page_keeps_its_policy_when_only_the_proxy_is_left() -> None:
    """S13, R-1309."""
    assert f'add_header Content-Security-Policy "{PUBLIC_POLICY}";' in RUNNING


def test_what_the_guide_sets_is_what_the_settings_read() -> None:
    block = re.search(r"HELIOGRAPH_ENV=production\n.*?```", RUNNING, re.DOTALL)
    named = re.findall(r"^([A-Z_]+)=", block[0], re.MULTILINE)
    source = (ROOT / "config" / "settings.py").read_text()
    assert [name for name in named if f'"{name}"' not in source] == []
