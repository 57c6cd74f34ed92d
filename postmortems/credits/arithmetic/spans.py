"""Arithmetic of half-open spans of time: sorted lists of (from, to) that neither overlap nor touch."""

from __future__ import annotations

from collections.abc import Iterable

from .case import Span

Spans = list[Span]


def union(spans: Iterable[Span]) -> Spans:
    """The same time as few spans as possible; touching ones join, empty ones vanish."""
    merged: Spans = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def common(ours: Spans, theirs: Spans) -> Spans:
    """What lies in both; both are unions."""
    found: Spans = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        start, end = max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])
        if start < end:
            found.append((start, end))
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    return found


def minus(ours: Spans, cuts: Spans) -> Spans:
    """Ours without the cuts; both are unions."""
    if not cuts:
        return ours
    left: Spans = []
    for start, end in ours:
        for cut_from, cut_to in cuts:
            if cut_to <= start or cut_from >= end:
                continue
            if cut_from > start:
                left.append((start, cut_from))
            start = max(start, cut_to)
        if start < end:
            left.append((start, end))
    return left


def length(spans: Spans) -> int:
    return sum(end - start for start, end in spans)


def before(spans: Spans, at: int) -> int:
    """How much of it lies before ``at``."""
    return sum(min(end, at) - start for start, end in spans if start < at)
