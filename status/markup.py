"""Markdown in, harmless HTML and plain text out (S09). Rendered once, when the words are published."""

from __future__ import annotations

import re
from dataclasses import dataclass

import nh3
from django.core.exceptions import ValidationError
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False, "maxNesting": 20}).disable(
    ["image", "heading", "lheading", "html_block", "html_inline"]
)
_TAGS = {"p", "br", "strong", "em", "ul", "ol", "li", "a", "code", "pre", "blockquote", "hr"}
_ABSOLUTE = re.compile(r"(?:https://|mailto:)[^\s]+\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """The same words for a page (``html``) and for plain mail (``text``)."""

    html: str
    text: str


def render(markdown: str) -> Words:
    """Make operator's Markdown fit for the public. Links other than absolute https and mailto lose their target."""
    html = nh3.clean(
        _MARKDOWN.render(markdown.strip()),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"https", "mailto"},
        attribute_filter=_keep,
        link_rel="noopener nofollow",
    ).strip()
    return Words(html=html, text=_as_text(html))


def check_links(markdown: str) -> None:
    """Raise ``ValidationError`` naming every link that would lose its target: better said than dropped."""
    tokens = (child for block in _MARKDOWN.parse(markdown) for child in block.children or ())
    targets = (str(token.attrGet("href")) for token in tokens if token.type == "link_open")
    refused = sorted({target for target in targets if not _ABSOLUTE.match(target)})
    if refused:
        raise ValidationError(
            "Links must start with https:// or mailto:. Please change %(refused)s.",
            code="relative_link",
            params={"refused": ", ".join(refused)},
        )


def _keep(tag: str, attribute: str, value: str) -> str | None:
    # The sanitiser alone lets //evil.example through: no scheme is no scheme to refuse.
    if attribute == "href":
        return value if _ABSOLUTE.match(value) else None
    return value if (tag, attribute) in (("a", "rel"), ("ol", "start")) else None


def _as_text(html: str) -> str:
    text = re.sub(r'<a href="(?:mailto:)?([^"]*)"[^>]*>(.*?)</a>', _link_as_text, html, flags=re.DOTALL)
    text = re.sub(r"<li>\s*", "- ", text)
    text = re.sub(r"<hr[^>]*>", "---", text)
    text = re.sub(r"<br[^>]*>\n?", "\n", text)
    text = re.sub(r"</p>\s*", "\n\n", text)
    text = re.sub(r"<[^>]+>", "", text)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&nbsp;", " ")):
        text = text.replace(entity, character)
    return re.sub(r"\n{3,}", "\n\n", text.replace("&amp;", "&")).strip()


def _link_as_text(match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    return label if target == label else f"{label} ({target})"
