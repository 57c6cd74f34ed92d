"""Operators' Markdown is rendered harmless (S09)."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ValidationError

from status.markup import check_links, render


@pytest.mark.parametrize(
    ("markdown", "html", "text"),
    [
        ("Hello", "<p>Hello</p>", "Hello"),
        ("one\ntwo", "<p>one<br>\ntwo</p>", "one\ntwo"),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>", "one\n\ntwo"),
        ("**bold** & *soft*", "<p><strong>bold</strong> &amp; <em>soft</em></p>", "bold & soft"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>", "- a\n- b"),
        (
            "[docs](https://example.com/a?b=1&c=2)",
            '<p><a href="https://example.com/a?b=1&amp;c=2" rel="noopener nofollow">docs</a></p>',
            "docs (https://example.com/a?b=1&c=2)",
        ),
        (
            "[help](mailto:help@example.com)",
            '<p><a href="mailto:help@example.com" rel="noopener nofollow">help</a></p>',
            "help (help@example.com)",
        ),
        ("1 < 2 > 0", "<p>1 &lt; 2 &gt; 0</p>", "1 < 2 > 0"),
        ("&lt;script&gt;", "<p>&lt;script&gt;</p>", "<script>"),
        ("# Not a heading", "<p># Not a heading</p>", "# Not a heading"),
        ("`a < b`", "<p><code>a &lt; b</code></p>", "a < b"),
    ],
)
def test_the_same_words_for_page_and_mail(markdown: str, html: str, text: str) -> None:
    words = render(markdown)
    assert (words.html, words.text) == (html, text)


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](vbscript:x)",
    "[a](//evil.example)",
    "[a](/admin/)",
    "[a](http://plain.example)",
    "[a](https:evil.example)",
    '[a](https://x.example "onmouseover=alert(1)")',
    '<https://x.example/"onmouseover=alert(1)>',
    "<javascript:alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=https://evil.example></iframe>",
    "<style>*{display:none}</style>",
    "<a href=https://x.example onclick=alert(1)>x</a>",
    "<!-- --><b>x</b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "`<script>alert(1)</script>`",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "[a]: javascript:alert(1)\n[a]",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
]
_ALLOWED = re.compile(
    r"</?(?:p|br|strong|em|ul|ol|li|code|pre|blockquote|hr)>"
    r'|<a href="(?:https://|mailto:)[^"<>\s]*" rel="noopener nofollow">|<a rel="noopener nofollow">'
    r'|</a>|<ol start="\d+">'
)


@pytest.mark.parametrize("markdown", HOSTILE)
def test_s09_nothing_but_plain_tags_and_absolute_https_links_comes_out(markdown: str) -> None:
    left = _ALLOWED.sub("", render(markdown).html)
    assert "<" not in left
    assert ">" not in left


@pytest.mark.parametrize("markdown", ["[" * 20_000, "*" * 20_000, "> " * 5_000 + "x", "`" * 9_999, "- " * 3_000])
def test_deep_nesting_is_cut_not_followed(markdown: str) -> None:
    assert len(render(markdown).html) < 200_000


def test_a_link_that_would_lose_its_target_is_named() -> None:
    check_links("[a](https://example.com) <mailto:a@b.example> [b](mailto:x@y.example) plain //text")
    with pytest.raises(ValidationError) as refused:
        check_links("See [a](/admin/), [b](http://plain.example) and\n\n- [c](//evil.example)")
    assert refused.value.messages == [
        "Links must start with https:// or mailto:. Please change //evil.example, /admin/, http://plain.example."
    ]
