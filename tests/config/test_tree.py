"""The tree that travels: no addresses of registries, no paths of one machine, no secrets."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

#: Put together here, so that this file is not found by itself.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("files", "pythonhosted", "org"),
        ("pypi", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("index", "crates", "io"),
        ("deb", "debian", "org"),
    )
]
MACHINE_PATHS = ["/" + "/".join(parts) + "/" for parts in (("work", "main"), ("work", "shared"), ("opt", "pypi"))]
HOME_PATH = re.compile("/" + r"(?:home|Users)/[a-z][\w.-]*/|/" + r"root/\.")
SECRET = re.compile(
    "|".join(("-----BEGIN (?:RSA |EC )?PRIVATE KEY", r"\bAKIA[0-9A-Z]{16}\b", r"\bxox[abp]-[0-9A-Za-z-]{20,}"))
)


def tracked() -> Iterator[tuple[str, str]]:
    """Every tracked text file with its content; where there is no git, every file that would be tracked."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = Path(settings.BASE_DIR) / name
        if path.is_file() and path.suffix not in (".png", ".ico", ".woff2", ".gz"):
            yield name, path.read_text(errors="replace")


@pytest.mark.parametrize("words", [*REGISTRIES, *MACHINE_PATHS])
def test_no_registry_and_no_machine_path_is_named(words: str) -> None:
    assert [name for name, content in tracked() if words in content] == []


@pytest.mark.parametrize("pattern", [HOME_PATH, SECRET], ids=["home folders", "keys"])
def test_no_home_folder_and_no_key_is_in_the_tree(pattern: re.Pattern[str]) -> None:
    assert [name for name, content in tracked() if pattern.search(content)] == []


def test_these_searches_find_what_they_look_for() -> None:
    assert HOME_PATH.search("/" + "home/ann/project")
    assert SECRET.search("-----BEGIN RSA " + "PRIVATE KEY-----")
    assert len(list(tracked())) > 50


def test_the_lock_holds_every_hash_and_no_address() -> None:
    lock = (Path(settings.BASE_DIR) / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?==\S+(?: ; [^\\]+)? \\$", lock, flags=re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", lock, flags=re.MULTILINE)) > 30
    assert "uv" in pins, "without itself in the lock, uv would remove itself"
    assert "http" not in re.sub(r"#.*|^\S+==.*", "", lock, flags=re.MULTILINE)
