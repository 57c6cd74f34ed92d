"""F11: an operator clicks twice, a proxy tries again, a web process dies before it answers. It happens once.

The same form of the console is sent twenty times at the same moment, to a real web process. Whoever
comes second is led to what came of the first.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

from config import programs
from config.supervisor import free_port
from status.enums import Level
from tests.drills.browser import Answer, Browser
from tests.drills.databases import ROOT
from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict

CREW = ("east",)
OPERATOR, PASSWORD = "ann", "correct horse battery staple"
FIRST = "Begun"
SET_UP = """
import sys
from tests.drills.newsroom import the_brand
from django.utils import timezone
from incidents import lifecycle
from incidents.models import Policy
from status.enums import Level
from tests import scene
username, password, word = sys.argv[1:]
ann = scene.operator(username, is_superuser=True)
ann.set_password(password)
ann.save()
severity, at = scene.severity(), timezone.now()
Policy.objects.update(is_default=True)
lifecycle.declare(
    severity=severity, title="API is failing", started_at=at, by=ann, at=at, brand=the_brand(),
    levels={scene.component(): Level.MAJOR}, draft=scene.draft(f"{word} it."),
)
"""
#: What must be there once for each click that was meant.
COUNTED = {
    "announcements": "SELECT count(*) FROM notifications_announcement",
    "public updates": "SELECT count(*) FROM status_noticeupdate",
    "published entries": "SELECT count(*) FROM incidents_timelineentry WHERE verb = 'published'",
}


def double(*, readers: int, rounds: int, times: int, deaths: int, broken: str = "") -> Verdict:
    """An update and a declaration in each round, each sent ``times`` times at once; each happens once.

    In the last ``deaths`` rounds a web process dies when it has committed and not answered.
    """
    port = free_port()
    with stage(broken=broken, SITE_URL=f"http://127.0.0.1:{port}") as theatre:
        told = theatre.readers(readers)
        subprocess.run([sys.executable, "-c", SET_UP, OPERATOR, PASSWORD, FIRST], cwd=ROOT, env=theatre.env, check=True)
        theatre.crew(*CREW)
        order = [FIRST]
        doomed = theatre.folder / "doomed"
        with _web(theatre, port, doomed) as browser:
            for round_ in range(rounds):
                for path, word in ((_update_of(theatre), "Update"), ("/admin/incidents/incident/add/", "Declare")):
                    if round_ >= rounds - deaths:
                        doomed.touch()
                    order.append(f"{word}{round_}")
                    _click(theatre, browser, path, order[-1], times)
                    theatre.wait_for_mail(len(order) * readers, seconds=60)
            if doomed.exists():
                theatre.faults.append("no web process died")
            theatre.wait_for_rest(seconds=60)
            _counted(theatre, len(order), rounds, readers)
            return _judge(theatre, told, order)


@contextlib.contextmanager
def _web(theatre: Stage, port: int, doomed: Path) -> Iterator[Browser]:
    """The web process as ``manage.py up`` starts it, and somebody who is signed in to it."""
    theatre.start("web", *programs.web("127.0.0.1", port, theatre.env).argv[1:], rig=f"dies-unsaid:{doomed}")
    browser = Browser(f"http://127.0.0.1:{port}")
    try:
        assert theatre.wait_for(lambda: _answers(browser.site), seconds=60), theatre.report()
        browser.sign_in(OPERATOR, PASSWORD)
        yield browser
    finally:
        # Killed outright it would leave its own processes behind.
        theatre.strike("web", signal.SIGTERM)


def _answers(site: str) -> bool:
    try:
        return requests.get(f"{site}/admin/login/", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def _update_of(theatre: Stage) -> str:
    return f"/admin/incidents/incident/{theatre.ask('SELECT min(id) FROM incidents_incident')}/act/update/"


def _level_of(theatre: Stage) -> str:
    """The field of the one component there is."""
    return f"levels-{theatre.ask('SELECT min(id) FROM status_component')}"


def _click(theatre: Stage, browser: Browser, path: str, word: str, times: int) -> None:
    form = browser.open(path) | {"body": f"{word} it.", "sms": ""}
    if "title" in form:
        # The gravest level in public marks a component: the guard asks why where it does not (R-1303).
        form |= {"title": f"{word} is failing", _level_of(theatre): Level.MAJOR.value}
    answers = browser.click(path, form, times=times)
    theatre.faults += _misled(word, answers)


def _misled(word: str, answers: Sequence[Answer]) -> list[str]:
    """Clicks that were not led to where the first one was."""
    places = {answer.leads_to for answer in answers}
    statuses = sorted({answer.status for answer in answers})
    if len(places) == 1 and statuses == [302]:
        return []
    return [f"{word}: answered {statuses}, led to {len(places)} places"]


def _counted(theatre: Stage, words: int, rounds: int, readers: int) -> None:
    expected = dict.fromkeys(COUNTED, words)
    found = {what: int(theatre.ask(question)) for what, question in COUNTED.items()}
    expected["incidents"], found["incidents"] = 1 + rounds, theatre.ask("SELECT count(*) FROM incidents_incident")
    theatre.faults += [f"{found[what]} {what}, not {count}" for what, count in expected.items() if found[what] != count]
    if theatre.fates() != {"accepted": words * readers}:
        theatre.faults.append(f"rows {theatre.fates()}, expected {words * readers} accepted")


def _judge(theatre: Stage, told: Sequence[str], order: Sequence[str]) -> Verdict:
    """By the newest words in each mail: every reader has each of them once."""
    place = {word: number for number, word in enumerate(order)}
    mails = [mail._replace(word=max(mail.tells, key=place.__getitem__)) for mail in theatre.mails()]
    missed = len(told) * len(order) - len({(mail.to, mail.word) for mail in mails})
    if missed:
        theatre.faults.append(f"{missed} words did not reach somebody")
    return theatre.judge("double-click", told, order, bound=0, mails=mails)


DRILLS = (
    Drill(
        "double-click",
        double,
        short={"readers": 20, "rounds": 3, "times": 20, "deaths": 1},
        full={"readers": 50, "rounds": 50, "times": 20, "deaths": 5},
        broken="forms-forgotten",
        when_broken={"rounds": 1, "deaths": 0, "times": 8},
    ),
)
