"""How the console looks: its name, its one calm colour, its stylesheet (R-1201). Read by ``config.settings``."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from config.templatetags.public import asset


def _asset(name: str) -> Any:
    """Asked per request: the address of static files is not known while settings are read."""

    def address(_request: HttpRequest) -> str:
        return asset(name)

    return address


CONSOLE: dict[str, Any] = {
    "SITE_TITLE": "Heliograph",
    "SITE_HEADER": "Heliograph",
    "SITE_SUBHEADER": "Incidents and status",
    "SITE_URL": "/status",
    "SITE_ICON": {"light": _asset("console/mark.svg"), "dark": _asset("console/mark-dark.svg")},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _asset("console/mark.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "STYLES": [
        *(_asset(f"incidents/{name}.css") for name in ("console", "screen", "desk")),
        _asset("postmortems/money.css"),
    ],
    "SCRIPTS": [
        _asset(f"incidents/{name}.js")
        for name in ("clocks", "live", "compose", "console", "dialogs", "alarms", "assistant", "alike", "desk")
    ],
    "DASHBOARD_CALLBACK": "config.dashboard.dashboard",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "config.sidebar.navigation"},
    "COLORS": {
        "base": {
            "50": "#f6f7f4",
            "100": "#eef0ec",
            "200": "#dfe2dc",
            "300": "#c9cec8",
            "400": "#98a19f",
            "500": "#666f74",
            "600": "#4c545a",
            "700": "#3a4146",
            "800": "#262c30",
            "900": "#171b1e",
            "950": "#0f1214",
        },
        "primary": {
            "50": "#eef7f7",
            "100": "#d5ebeb",
            "200": "#afd7d8",
            "300": "#7fbcbf",
            "400": "#5fb3bb",
            "500": "#4a9ba3",
            "600": "#216a73",
            "700": "#1c565f",
            "800": "#1a464d",
            "900": "#183a41",
            "950": "#0b2329",
        },
    },
}
