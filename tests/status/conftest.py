import pytest


@pytest.fixture(autouse=True)
def page_dir(settings, tmp_path):
    """Each story presses into a folder of its own."""
    settings.PAGE_DIR = tmp_path / "page"
    return settings.PAGE_DIR
