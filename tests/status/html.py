"""Reading a page as a strict browser and a screen reader would: enough of HTML to find what is broken."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "br", "hr", "input", "img"}
ALLOWED_SCHEMES = ("/", "#", "https://", "http://127.0.0.1:8000/", "mailto:")


@dataclass
class Outline(HTMLParser):
    """What a page is made of; ``faults`` in words."""

    faults: list[str] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    landmarks: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str]]] = []
        self.named: list[list[str]] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self._check(tag, values, len(attrs))
        self._collect(tag, values)
        if tag not in VOID:
            self.open.append((tag, values))
            self.named.append([values.get("aria-label", "")])

    def _check(self, tag, values, count):
        if len(values) != count:
            self.faults.append(f"<{tag}> has an attribute twice")
        if any(name.startswith("on") or name == "style" for name in values):
            self.faults.append(f"<{tag}> carries inline code or style")
        if tag == "img" and "alt" not in values:
            self.faults.append("<img> without a text")

    def _collect(self, tag, values):
        self.ids += [values["id"]] if "id" in values else []
        self.references += (values.get("aria-labelledby") or "").split()
        self.references += [values["href"].removeprefix("#")] if tag == "use" else []
        self.landmarks += [tag] if tag in ("header", "nav", "main", "footer") else []
        # A link that lost its target leads nowhere, which is where it should.
        self.links += [values["href"]] if tag == "a" and "href" in values else []
        self.scripts += [values.get("src", "inline")] if tag == "script" else []
        self.labels += [values.get("aria-label", "")] if values.get("role") == "img" else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_data(self, data):
        if data.strip() and not any(tag in ("style", "script") for tag, _ in self.open):
            self.words.append(data.strip())
        for name in self.named:
            name.append(data)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1][0] if self.open else 'nothing'}")
            return
        self.open.pop()
        name = " ".join("".join(self.named.pop()).split())
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), name))
        if tag in ("a", "button", "summary") and not name:
            self.faults.append(f"<{tag}> without a name")

    def all_faults(self) -> list[str]:
        """Also what can be said only at the end."""
        faults = list(self.faults)
        faults += [f"<{tag}> is never closed" for tag, _ in self.open if tag not in VOID]
        faults += [f"id {name} twice" for name in sorted({one for one in self.ids if self.ids.count(one) > 1})]
        faults += [f"#{name} does not exist" for name in self.references if name not in self.ids]
        levels = [level for level, _ in self.headings]
        if levels.count(1) != 1 or levels[:1] != [1]:
            faults.append(f"the page does not begin with its one h1: {self.headings}")
        faults += [f"h{b} after h{a}" for a, b in pairwise(levels) if b > a + 1]
        faults += ["an empty heading" for _, name in self.headings if not name]
        faults += ["a picture without a text" for label in self.labels if not label]
        faults += [f"the link {href!r} leads astray" for href in self.links if not href.startswith(ALLOWED_SCHEMES)]
        faults += [f"the link {href!r} leads astray" for href in self.links if href.startswith("//")]
        faults += ["inline script" for source in self.scripts if not source.startswith("/static/")]
        if sorted(set(self.landmarks)) != ["footer", "header", "main", "nav"] or self.landmarks.count("main") != 1:
            faults.append(f"landmarks: {self.landmarks}")
        return faults


def outline(page: bytes | str) -> Outline:
    found = Outline()
    found.feed(page.decode() if isinstance(page, bytes) else page)
    found.close()
    return found
