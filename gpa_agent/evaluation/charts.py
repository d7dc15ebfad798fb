"""Charts as inline SVG, written here: no script, no font, no picture from anywhere else.

Colours are classes that the page's style sheet fills in, for light and dark; every text is
escaped. An axis of shares always runs from 0 to 1, one of differences holds 0 and is drawn to the
same length on both sides of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

from gpa_agent.evaluation.course import Point

WIDTH: Final = 760
_LEFT: Final = 250
_RIGHT: Final = 24
_LINE: Final = 22
_TOP: Final = 12
_LONGEST: Final = 34
"""Characters of a label that fit; the whole is told when one points at it."""


class Mark(NamedTuple):
    """A value with its interval.

    Attributes:
        kind: Class of its colour: ``tailored``, ``holdout`` or ``lift``.
        value: Where the dot is.
        interval: From where to where the bar goes.
    """

    kind: str
    value: float
    interval: tuple[float, float]


class Row(NamedTuple):
    """A line of a chart.

    Attributes:
        label: What it is about.
        marks: What is drawn; nothing where too little is known.
    """

    label: str
    marks: tuple[Mark, ...]


class Axis(NamedTuple):
    """A horizontal axis.

    Attributes:
        low: Its left end.
        high: Its right end.
        ticks: Where it is marked.
        words: How a value on it is written.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    words: Callable[[float], str]

    def x(self, value: float) -> float:
        """The coordinate of a value."""
        along = (value - self.low) / (self.high - self.low)
        return round(_LEFT + along * (WIDTH - _LEFT - _RIGHT), 1)


SHARES: Final = Axis(0, 1, (0, 0.25, 0.5, 0.75, 1), lambda value: f"{value:.0%}")


def differences(reach: float) -> Axis:
    """An axis around 0.

    Args:
        reach: What it must hold on either side, in (0, 1].
    """
    end = next((r for r in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8) if reach <= r), 1.0)
    return Axis(-end, end, (-end, -end / 2, 0, end / 2, end), _signed)


def _signed(value: float) -> str:
    return f"{value:+.2f}" if value else "0"


def intervals(title: str, rows: Sequence[Row], axis: Axis) -> str:
    """Dots with intervals, a line for each row.

    Args:
        title: What is shown; read out to who cannot see it.
        rows: Top to bottom.
        axis: Their common axis.
    """
    bottom = _TOP + len(rows) * _LINE
    parts = [_grid(axis, bottom)]
    for n, row in enumerate(rows):
        y = _TOP + n * _LINE + _LINE / 2
        parts.append(_label(row.label, y))
        parts += [
            _mark(mark, axis, y + (i - (len(row.marks) - 1) / 2) * 8, row.label)
            for i, mark in enumerate(row.marks)
        ]
        if not row.marks:
            parts.append(
                f'<text class="faint" x="{axis.x(axis.low) + 6}" y="{y + 4}">too few</text>'
            )
    return _svg(title, bottom + 28, parts)


def course(title: str, points: Sequence[Point]) -> str:
    """The lift against the judged turns so far, with its interval as a band.

    Args:
        title: What is shown.
        points: In the order of time; at least two.
    """
    height, top, bottom = 260, 14, 220
    reach = max(max(abs(end) for end in p.interval) for p in points)
    up = differences(min(1.0, reach))
    across = Axis(0, points[-1].judged, (), str)

    def y(value: float) -> float:
        return round(bottom - (value - up.low) / (up.high - up.low) * (bottom - top), 1)

    def x(point: Point) -> float:
        left = 64
        return round(left + point.judged / across.high * (WIDTH - left - _RIGHT), 1)

    lows = [f"{x(p)},{y(p.interval[0])}" for p in points]
    highs = [f"{x(p)},{y(p.interval[1])}" for p in points]
    parts = [
        *(
            f'<line class="{"zero" if tick == 0 else "grid"}" x1="64" x2="{WIDTH - _RIGHT}" '
            f'y1="{y(tick)}" y2="{y(tick)}"/><text class="faint" x="58" y="{y(tick) + 4}" '
            f'text-anchor="end">{up.words(tick)}</text>'
            for tick in up.ticks
        ),
        f'<polygon class="band" points="{" ".join([*highs, *reversed(lows)])}"/>',
        f'<polyline class="line" points="{" ".join(f"{x(p)},{y(p.lift)}" for p in points)}"/>',
        *(
            f'<text class="faint" x="{x(p)}" y="{bottom + 18}" text-anchor="{anchor}">'
            f"{p.judged} judged turns</text>"
            for p, anchor in ((points[0], "start"), (points[-1], "end"))
        ),
    ]
    return _svg(title, height, parts)


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    said = escape(title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{said}">'
        f"<title>{said}</title>{''.join(parts)}</svg>"
    )


def _grid(axis: Axis, bottom: float) -> str:
    return "".join(
        f'<line class="{"zero" if tick == 0 else "grid"}" x1="{axis.x(tick)}" x2="{axis.x(tick)}" '
        f'y1="{_TOP - 4}" y2="{bottom + 4}"/><text class="faint" x="{axis.x(tick)}" '
        f'y="{bottom + 20}" text-anchor="middle">{escape(axis.words(tick))}</text>'
        for tick in axis.ticks
    )


def _label(label: str, y: float) -> str:
    shown = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
    return (
        f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end"><title>{escape(label)}</title>'
        f"{escape(shown)}</text>"
    )


def _mark(mark: Mark, axis: Axis, y: float, label: str) -> str:
    low, high = (axis.x(end) for end in mark.interval)
    ends = " to ".join(axis.words(end) for end in mark.interval)
    told = escape(f"{label}, {mark.kind}: {axis.words(mark.value)} ({ends})")
    return (
        f'<g class="{mark.kind}"><title>{told}</title>'
        f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{axis.x(mark.value)}" cy="{y}" r="4"/></g>'
    )
