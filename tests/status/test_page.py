"""The page itself: valid, small, readable by everybody, harmless whatever was typed (R-701, S09)."""

import gzip
import re
from datetime import timedelta

import pytest
from django.conf import settings

from status.enums import Level, NoticeKind, Phase
from status.models import AnswerTarget
from status.page import press
from status.page.bars import summary
from status.page.snapshot import take
from tests.scene import NIGHT, brand, component, minutes
from tests.status.html import outline
from tests.status.stage import notice, over, post

pytestmark = pytest.mark.django_db
LATER = NIGHT + minutes(60)


def demo():
    """The organisation of R-601 with a past, an open incident and a maintenance to come."""
    brand(security_email="security@northwind.example", support_url="https://help.northwind.example")
    names = {
        "Core": ("API", "Database", "Authentication"),
        "Web": ("Frontend", "CDN"),
        "Messages and money": ("E-mail delivery", "Payments", "Messaging"),
    }
    parts = [component(name, group, uptime_target="99.9") for group, members in names.items() for name in members]
    for number in range(40):
        at = NIGHT - timedelta(days=2 * number, hours=number % 5)
        over(f"INC-2026-{number:04}", at=at, levels={parts[number % 8]: Level.PARTIAL}, body="Errors. " * 30)
    told = notice("INC-2026-1000", levels={parts[0]: Level.DEGRADED}, next_update_by=LATER + minutes(30))
    for number in range(3):
        post(
            told,
            Phase.IDENTIFIED,
            "We know more now.\n\n- one\n- two",
            at=NIGHT + minutes(number),
            next_update_by=LATER,
        )
    notice("MNT-1", at=NIGHT + timedelta(days=2), kind=NoticeKind.MAINTENANCE, phase=Phase.SCHEDULED, title="Upgrade")
    AnswerTarget.objects.create(priority="Critical", words="within 1 hour")
    return told


def test_the_page_is_valid_and_its_headings_are_in_order():
    demo()
    found = outline(press.render_page(LATER))
    assert found.all_faults() == []
    assert [name for level, name in found.headings if level <= 2] == [
        "Degraded performance: API",
        "Open incident",
        "Maintenance",
        "Components",
        "Past incidents",
        "Get help",
    ]


def test_the_page_of_the_demo_organisation_is_small():
    """Performance.md A: ≤ 40 KB of HTML, ≤ 8 KB gzipped."""
    demo()
    page = press.render_page(LATER)
    assert len(page) <= 40_000
    assert len(gzip.compress(page, 9)) <= 8_000


def test_the_open_incident_shows_every_update_and_the_promise():
    """R-701, R-1301."""
    told = demo()
    words = outline(press.render_page(LATER)).words
    assert words.count("Identified") == 4
    assert "Next update by" in words
    page = outline(press.render_notice(told.public_id, LATER + minutes(1)))
    assert page.all_faults() == []
    assert any("was due by" in said for said in page.words)


def test_an_incident_without_a_promise_says_so():
    """R-1301: or says that there is none."""
    notice()
    assert "No fixed time for the next update" in outline(press.render_page(LATER)).words


def test_every_level_is_told_by_shape_and_words_not_by_colour_alone():
    """WCAG 1.4.1."""
    for level in (Level.DEGRADED, Level.PARTIAL, Level.MAJOR, Level.MAINTENANCE):
        notice(f"INC-{level}", levels={component(level.label): level})
    page = press.render_page(LATER).decode()
    for level in Level:
        assert f'<use href="#i-{level.colour}"/></svg>{level.label}</p>' in page or level == Level.OPERATIONAL
        assert f'<symbol id="i-{level.colour}"' in page


def test_the_bars_have_a_summary_in_words():
    api = component(created_at=NIGHT - timedelta(days=400))
    over("INC-2026-0001", at=NIGHT - timedelta(days=3), lasting=minutes(42), levels={api: Level.MAJOR})
    over("INC-2026-0002", at=NIGHT - timedelta(days=1), lasting=minutes(90), levels={api: Level.DEGRADED})
    (row,) = take(LATER).rows
    assert summary(row) == (
        "API, last 90 days: 99.96 % uptime; trouble on 2 days, the latest 19 Nov 2026: "
        "degraded performance for 1 h 30 min."
    )
    page = press.render_page(LATER).decode()
    assert 'data-trouble="86o42;88d90"' in page
    assert outline(page).labels == [summary(row)]


CORPUS = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt&#58;alert(1))",
    "[click](//evil.example)",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](https://pictures.example/track.png)",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '<https://a.example/" onmouseover="alert(1)>',
    '[a](https://a.example "title" onclick=alert(1))',
    "`<b>` **<i>** _<u>_",
    "</div></li></ol></article></main><h1>Mine</h1>",
    "<!-- --><style>*{display:none}</style>",
    "x" * 2_000,
    "> > > > > " * 60,
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


@pytest.mark.parametrize("words", CORPUS)
def test_whatever_was_typed_is_harmless_on_the_page(words):
    """S09: title, name, description and words of an operator."""
    api = component(words[:60], words[:60], description=words[:240])
    told = notice(title=words[:120], levels={api: Level.MAJOR}, body=words)
    for page in (press.render_page(LATER), press.render_notice(told.public_id, LATER)):
        found = outline(page)
        assert found.all_faults() == []
        assert [source.split("?")[0] for source in found.scripts] == ["/static/public/page.js"]
        assert "evil.example" not in "".join(found.links)
        assert not re.search(rb"<(img|style|iframe|object)\b", page)


def test_an_empty_installation_says_what_to_do_next():
    found = outline(press.render_page(NIGHT))
    assert found.all_faults() == []
    assert (found.headings[0], "/admin/status/component/add/" in found.links) == (
        (1, "This page is being set up"),
        True,
    )


def test_a_false_alarm_keeps_its_page_and_says_what_it_was():
    """R-203: withdrawn from the lists, never a dead link."""
    told = notice(levels={component(): Level.MAJOR})
    told.withdrawn_at = NIGHT
    told.save()
    page = press.render_notice(told.public_id, LATER)
    found = outline(page)
    assert found.all_faults() == []
    assert "This was a false alarm." in found.words
    assert b'<meta name="robots" content="noindex">' in page


def test_many_components_fold_away_where_all_is_well():
    for number in range(13):
        component(f"C{number:02}", f"Group {number % 2}")
    notice(levels={component("C00"): Level.MAJOR})
    page = press.render_page(LATER).decode()
    assert re.findall(r"<details[^>]*>", page) == [
        '<details class="card group" id="g-1" open>',
        '<details class="card group" id="g-2">',
    ]


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def palettes() -> list[dict[str, str]]:
    css = (settings.BASE_DIR / "config/static/public/public.css").read_text()
    blocks = re.findall(r":root \{(.*?)\n *\}", css, re.DOTALL)[:2]
    return [
        {
            name: value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])
            for name, value in re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block)
        }
        for block in blocks
    ]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_and_marks_have_contrast_in_both_schemes(scheme):
    """WCAG 1.4.3 (4.5 for text) and 1.4.11 (3 for marks, bars and borders of fields)."""
    palette = palettes()[scheme]
    hues = ("green", "yellow", "orange", "red", "blue", "grey")
    text = [("ink", ground) for ground in ("paper", "sheet", *(f"{hue}-tint" for hue in hues))]
    text += [("soft", ground) for ground in ("paper", "sheet", *(f"{hue}-tint" for hue in hues))]
    text += [(f"{hue}-ink", ground) for hue in hues for ground in ("paper", "sheet", f"{hue}-tint")]
    marks = [(hue, ground) for hue in hues for ground in ("paper", "sheet", f"{hue}-tint")]
    marks += [("up", "sheet"), ("edge", "sheet"), ("edge", "paper"), ("blue", "paper")]
    poor = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in text}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}
    faint = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in marks}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 3} == {}


def test_a_day_under_an_open_incident_links_to_it_and_claims_nothing():
    told = notice(at=NIGHT - timedelta(days=1), title="API is slow")
    page = press.render_page(LATER).decode()
    assert f'Under way: <a href="/status/incidents/{told.public_id}" dir="auto">API is slow</a>' in page
    assert page.count("No incidents reported") == 1  # the 13 days before


def test_what_an_incident_lasted_is_told_in_the_words_of_its_updates():
    told = over("INC-2026-0001", at=NIGHT, lasting=timedelta(seconds=20))
    page = press.render_notice(told.public_id, LATER).decode()
    assert "<dt>Lasted</dt><dd>1 minute</dd>" in page
    assert "lasted 1 minute" in press.render_page(LATER).decode()
