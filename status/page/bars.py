"""A component on the page, with ninety days as one small picture.

Height, shape and colour say the same, so that none is needed alone. Operational days are one
pattern, however many there are; only days with trouble cost bytes. Written as strings: a page of
50 components is pressed on every change, and a template took three times as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from status.enums import Level
from status.page.snapshot import DAYS, Row
from status.page.wording import day as day_in_words
from status.page.wording import lasting, percent
from status.uptime import DAY, Day

#: Width of a day and of its bar, height of the picture, in its own units.
STEP, BAR, HEIGHT = 6, 4, 32
#: The letter the script reads, and the rectangles (top, height) of the bar.
_SHAPES: dict[Level, tuple[str, tuple[tuple[int, int], ...]]] = {
    Level.MAINTENANCE: ("m", ((16, 6), (25, 7))),
    Level.DEGRADED: ("d", ((11, 21),)),
    Level.PARTIAL: ("p", ((5, 27),)),
    Level.MAJOR: ("o", ((0, 32),)),
}
#: The same as drawn, at place x.
_BARS = {
    level: "".join(f"Mx {top}h{BAR}v{height}h-{BAR}z" for top, height in boxes) for level, (_, boxes) in _SHAPES.items()
}
#: Defined once per page; every picture refers to it.
PATTERN = mark_safe(  # noqa: S308 -- numbers only
    f'<pattern id="up" width="{STEP}" height="{HEIGHT}" patternUnits="userSpaceOnUse">'
    f'<path class="b-green" d="M1 16h{BAR}v16h-{BAR}z"/></pattern>'
    f'<pattern id="void" width="{STEP}" height="{HEIGHT}" patternUnits="userSpaceOnUse">'
    f'<path class="b-void" d="M1 29h{BAR}v3h-{BAR}z"/></pattern>'
)


def listed(rows: Iterable[Row]) -> SafeString:
    """Components as list items."""
    return mark_safe("\n".join(_item(row) for row in rows))  # noqa: S308 -- words are escaped where they enter


def _item(row: Row) -> str:
    about = f'<p class="about">{escape(row.description)}</p>' if row.description else ""
    colour = row.level.colour
    return (
        f'<li class="row-of" data-level="{colour}"><div class="who"><h4>{escape(row.name)}</h4>{about}'
        f'<p class="level"><svg class="glyph" aria-hidden="true"><use href="#i-{colour}"/></svg>{row.level.label}</p>'
        f'</div><div class="past">{_picture(row)}<p class="axis"><span>{_ninety(row)}</span>{_last(row)}</p></div>'
        f'<p class="figure">{_figure(row)}</p></li>'
    )


def _ninety(row: Row) -> str:
    uptime = row.uptime_90.percent
    return f"{DAYS} days" if uptime is None else f"{DAYS} days: {percent(uptime)}"


def _last(row: Row) -> str:
    if row.last is None:
        return ""
    when = day_in_words(row.last.began_at)
    link = f'<a href="/status/incidents/{row.last.public_id}">{when}</a>' if row.last.public_id else when
    return f"<span>Last incident {link}</span>"


def _figure(row: Row) -> str:
    """Uptime of 30 days beside the component's own target (R-602)."""
    uptime = row.uptime_30.percent
    if uptime is None:
        return '<span class="soft">not measured yet</span>'
    told = f"<b>{percent(uptime)}</b> <span>in 30 days</span>"
    if row.target is None:
        return told
    if row.uptime_30.meets(row.target):
        return f"{told} <span>target {percent(row.target)}</span>"
    return f'{told} <span class="missed">below target {percent(row.target)}</span>'


def _picture(row: Row) -> str:
    """The bars, with a summary for those who do not see them and the days for the script."""
    known = min(max(row.past.since // DAY - row.first_day, 0), DAYS)
    troubled = {number - row.first_day: day for number, day in row.past.troubled.items() if number >= row.first_day}
    drawn: dict[Level, list[str]] = {}
    for place, day in troubled.items():
        worst = day.worst or Level.OPERATIONAL
        drawn.setdefault(worst, []).append(_BARS[worst].replace("x", str(STEP * place + 1)))
    edges = [known - 1, *troubled, DAYS]
    clear = "".join(_box(left + 1, right) for left, right in pairwise(edges) if left + 1 < right)
    parts = [f'<path fill="url(#void)" d="{_box(0, known)}"/>'] if known else []
    parts += [f'<path fill="url(#up)" d="{clear}"/>'] if clear else []
    parts += [f'<path class="b-{level.colour}" d="{"".join(bars)}"/>' for level, bars in drawn.items()]
    return (
        f'<div class="bars"{_data("known", str(known or ""))}{_data("trouble", _told(troubled))}>'
        f'<svg viewBox="0 0 {STEP * DAYS} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(summary(row))}">{"".join(parts)}</svg></div>'
    )


def key() -> list[dict[str, str]]:
    """What each shape means, for the legend; gravest last."""
    shapes = {Level.OPERATIONAL: ((16, 16),), **{level: boxes for level, (_, boxes) in _SHAPES.items()}}
    order = (Level.OPERATIONAL, Level.DEGRADED, Level.PARTIAL, Level.MAJOR, Level.MAINTENANCE)
    return [
        {
            "label": level.label,
            "colour": level.colour,
            "shape": "".join(f"M1 {top}h{BAR}v{height}h-{BAR}z" for top, height in shapes[level]),
        }
        for level in order
    ]


def summary(row: Row) -> str:
    """The picture in words."""
    uptime, troubled = row.uptime_90.percent, [day for day in row.past.troubled.values() if day.number >= row.first_day]
    figure = "nothing measured yet" if uptime is None else f"{percent(uptime)} uptime"
    words = f"{row.name}, last {DAYS} days: {figure}"
    if not troubled:
        return f"{words}; no day with trouble."
    last = troubled[-1]
    count = "1 day" if len(troubled) == 1 else f"{len(troubled)} days"
    told = ", ".join(
        f"{level.label.lower()} for {lasting(seconds)}"
        for level, seconds in sorted(last.seconds.items(), key=lambda pair: -pair[0].gravity)
        if level is not Level.OPERATIONAL
    )
    return f"{words}; trouble on {count}, the latest {_date(last)}: {told}."


def _data(name: str, value: str) -> str:
    return f' data-{name}="{value}"' if value else ""


def _told(troubled: dict[int, Day]) -> str:
    """``84o42p10;89d5``: place, then letter and minutes per level, gravest first."""
    return ";".join(
        str(place)
        + "".join(
            # A few seconds are told as a minute: nought would read as nothing.
            f"{letter}{max(1, day.seconds[level] // 60)}"
            for level, (letter, _) in reversed(_SHAPES.items())
            if level in day.seconds
        )
        for place, day in troubled.items()
    )


def _box(start: int, end: int) -> str:
    return f"M{STEP * start} 0h{STEP * (end - start)}v{HEIGHT}h-{STEP * (end - start)}z"


def _date(day: Day) -> str:
    return day_in_words(datetime.fromtimestamp(day.number * DAY, UTC))
