"""Pressing: whole files, the newest data, the last good ones when it fails."""

import gzip
import os
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from status import publishing, tasks
from status.enums import Level, Phase
from status.models import Notice
from status.page import press
from tests.scene import NIGHT, component, minutes
from tests.status.stage import notice, post, resolve

pytestmark = pytest.mark.django_db


def text(folder, name=press.INDEX) -> str:
    return (folder / name).read_text()


@pytest.mark.django_db(transaction=True)
def test_publishing_presses_the_page_and_the_incident_after_the_commit(page_dir):
    told = notice(title="Nothing answers", levels={component(): Level.MAJOR})
    assert "Nothing answers" in text(page_dir)
    assert "Investigating" in text(page_dir, press.notice_file(told.public_id))
    resolve(told, at=NIGHT + minutes(5))
    assert "It works again." in text(page_dir, press.notice_file(told.public_id))
    assert "All systems operational" in text(page_dir)


def test_every_page_has_a_packed_twin(page_dir):
    told = notice()
    assert press.press(told.public_id)
    for name in (press.INDEX, press.notice_file(told.public_id)):
        assert gzip.decompress((page_dir / f"{name}.gz").read_bytes()) == (page_dir / name).read_bytes()


def test_unchanged_pages_are_not_written_again_but_the_look_is_noted(page_dir):
    assert press.press()
    first, looked = (page_dir / press.INDEX).stat(), press.pressed_at()
    assert press.press()
    again = (page_dir / press.INDEX).stat()
    assert (again.st_mtime_ns, again.st_ino) == (first.st_mtime_ns, first.st_ino)
    assert press.pressed_at() > looked


def test_no_draft_is_left_behind(page_dir):
    press.press(notice().public_id)
    names = sorted(
        os.path.relpath(os.path.join(at, name), page_dir) for at, _, found in os.walk(page_dir) for name in found
    )
    assert [name for name in names if "html" not in name] == [".lock", press.MARKER]
    assert len(names) == 6


def test_a_page_that_cannot_be_rendered_keeps_the_last_good_one(page_dir, monkeypatch, caplog):
    notice(title="Known to all")
    assert press.press()
    monkeypatch.setattr(press.snapshot, "take", lambda at: 1 / 0)
    assert not press.press()
    assert "Known to all" in text(page_dir)
    assert "the last good one stays" in caplog.text


def test_a_full_or_missing_disk_does_not_fail_the_act(settings, tmp_path, django_capture_on_commit_callbacks):
    settings.PAGE_DIR = tmp_path / "file" / "page"
    (tmp_path / "file").write_text("not a folder")
    with django_capture_on_commit_callbacks(execute=True):
        notice()
    assert Notice.objects.count() == 1


def test_a_presser_waits_for_the_other_and_then_gives_up(page_dir, monkeypatch, caplog):
    monkeypatch.setattr(press, "PATIENCE_SECONDS", 0.05)
    with press._alone():
        assert not press.press()
    assert "Another presser does not finish" in caplog.text
    assert press.press()


@pytest.mark.django_db(transaction=True)
def test_of_two_pressers_the_one_that_writes_last_has_looked_last(page_dir, monkeypatch):
    """The slow one looked first; while it renders, an update is published. Its old page must not win."""
    rendering, published = threading.Event(), threading.Event()
    render = press.render_page
    first = threading.local()

    def slowly(at):
        page = render(at)
        if getattr(first, "is_slow", False):
            rendering.set()
            published.wait(10)
        return page

    monkeypatch.setattr(press, "render_page", slowly)

    def slow():
        first.is_slow = True
        press.press()
        press.timezone.now()
        press.transaction.get_connection().close()

    slow_one = threading.Thread(target=slow)
    slow_one.start()
    assert rendering.wait(10)
    quick_one = threading.Timer(0.2, published.set)
    quick_one.start()
    notice(title="Published meanwhile")
    slow_one.join()
    assert "Published meanwhile" in text(page_dir)


def test_the_timetable_presses_what_a_crash_left_unpressed(page_dir):
    """F02: the process died between commit and press."""
    told = notice(at=timezone.now())
    assert not (page_dir / press.INDEX).exists()
    tasks.press_page()
    assert "Investigating" in text(page_dir, press.notice_file(told.public_id))
    post(told, Phase.RESOLVED, "It works again.", at=timezone.now())
    tasks.press_page()
    assert "It works again." in text(page_dir, press.notice_file(told.public_id))


def test_the_timetable_tells_that_a_promise_has_passed(page_dir):
    """R-1301: nothing was written, only time went by."""
    told = notice(at=timezone.now() - minutes(30), next_update_by=timezone.now() - minutes(1))
    Notice.objects.update(updated_at=timezone.now() - timedelta(days=1))
    tasks.press_page()
    assert "is late" in text(page_dir)
    assert "is late" in text(page_dir, press.notice_file(told.public_id))


def test_the_timetable_leaves_old_incidents_alone(page_dir):
    told = notice(at=NIGHT - timedelta(days=30))
    resolve(told, at=NIGHT - timedelta(days=30))
    press.press()
    tasks.press_page()
    assert not (page_dir / press.notice_file(told.public_id)).exists()


def test_everything_is_pressed_on_request(page_dir, capsys):
    told = notice(at=NIGHT - timedelta(days=300))
    resolve(told, at=NIGHT - timedelta(days=300))
    publishing.withdraw(told, at=NIGHT)
    call_command("press", all=True)
    assert "This was a false alarm." in text(page_dir, press.notice_file(told.public_id))
    assert capsys.readouterr().out == "Pressed.\n"


def test_the_command_says_when_nothing_was_pressed(monkeypatch):
    monkeypatch.setattr(press.snapshot, "take", lambda at: 1 / 0)
    with pytest.raises(CommandError, match="last good page stays"):
        call_command("press")


@pytest.mark.parametrize("marker", ["", "{", "{}", '{"at": "yesterday"}', "[]", '{"at": 5}'])
def test_a_broken_marker_is_no_reason_to_stop(page_dir, marker):
    page_dir.mkdir()
    (page_dir / press.MARKER).write_text(marker)
    assert press.pressed_at() is None
    assert press.press_due()
