"""A message sequence diagram as SVG: who sent what to whom, in order."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_conformance.results import Exchange

_LANE = 220
_STEP = 30
_TOP = 46
_MAX_STEPS = 60
_MARGIN = 12
_LINE = 18
_LETTER = 7
"""Width of a letter, rather more than less: text in an SVG does not wrap by itself."""


def render_sequence(exchanges: Sequence[Exchange], *, hub: str = "hub", reason: str = "") -> str:
    """Return an SVG element.

    Args:
        exchanges: The messages; of many, the last are drawn.
        hub: The lane that stands at the left.
        reason: Why it failed: the last lines, below the arrows.
    """
    drawn = exchanges[-_MAX_STEPS:]
    named = dict.fromkeys(name for it in drawn for name in (it.sender, it.receiver))
    lanes = [hub, *(name for name in named if name != hub)]
    at = {name: 90 + place * _LANE for place, name in enumerate(lanes)}
    width = 180 + (len(lanes) - 1) * _LANE
    said = textwrap.wrap(f"✗ {reason}", (width - 2 * _MARGIN) // _LETTER) if reason else []
    ends = _TOP + _STEP * (len(drawn) + 1)
    height = ends + _LINE * len(said)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = f"Message sequence, {len(drawn)} messages"
    parts = [f'<svg class="sequence" {size} role="img" aria-label="{label}">']
    for name, x in at.items():
        parts.append(f'<line class="lane" x1="{x}" y1="30" x2="{x}" y2="{ends - 8}"/>')
        parts.append(f'<text class="who" x="{x}" y="20">{escape(_short(name, 24))}</text>')
    for place, it in enumerate(drawn):
        parts += _arrow(it, at[it.sender], at[it.receiver], _TOP + _STEP * (place + 1) - 8)
    for place, line in enumerate(said):
        y = ends + _LINE * place + 6
        parts.append(f'<text class="reason" x="{_MARGIN}" y="{y}">{escape(line)}</text>')
    parts.append("</svg>")
    return "".join(parts)


def _arrow(it: Exchange, start: int, end: int, y: int) -> list[str]:
    sign = 1 if end >= start else -1
    kind = "from-hub" if it.sender == "hub" else "to-hub"
    head = f"{end},{y} {end - 8 * sign},{y - 4} {end - 8 * sign},{y + 4}"
    middle = (start + end) // 2
    label = f"{_short(it.label, 28)}  {it.at_seconds:.2f} s"
    return [
        f'<line class="{kind}" x1="{start}" y1="{y}" x2="{end - 6 * sign}" y2="{y}"/>',
        f'<polygon class="{kind}" points="{head}"/>',
        f'<text x="{middle}" y="{y - 5}">{escape(label)}</text>',
    ]


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
