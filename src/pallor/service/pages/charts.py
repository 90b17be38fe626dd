"""Drawings of the result page as SVG text: pure functions of numbers and words.

Looks come from the style sheet (classes), positions from attributes: a strict content security
policy forbids style attributes. All are 360 units wide, the width of a phone, so that letters
keep their size there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 360.0
MARGIN: Final = 14.0
_VALUE_WIDTH: Final = 29.0
"""Of a number such as 12.0, with air."""
Number = Callable[[float, int], str]


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to places.

    Attributes
    ----------
    low, high
        The ends of the values.
    start, end
        Where they lie in the drawing.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value; values beyond an end lie at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class ChartWords:
    """The words of a drawing.

    Attributes
    ----------
    title
        Read out by a screen reader in place of the drawing; says what is seen.
    axis
        Name and unit of the horizontal axis.
    """

    title: str
    axis: str


def hemoglobin_scale(values: Sequence[float]) -> Scale:
    """Return a scale that holds all values, with a whole g/dL of air on both sides."""
    low, high = math.floor(min(values)) - 1.0, math.ceil(max(values)) + 1.0
    return Scale(low, high, MARGIN, WIDTH - MARGIN)


def interval_chart(
    estimate_g_dl: float,
    low_g_dl: float | None,
    high_g_dl: float | None,
    bounds_g_dl: Sequence[float],
    names: Sequence[str],
    words: ChartWords,
    number: Number,
) -> str:
    """Draw an estimate with its interval over bands of hemoglobin.

    Parameters
    ----------
    estimate_g_dl
        The estimate, g/dL.
    low_g_dl, high_g_dl
        Ends of its interval, g/dL; None where it has no end on that side.
    bounds_g_dl
        Where the bands meet, ascending; empty where the groups are not known.
    names
        Names of the bands, one more than bounds.
    words
        Title and axis.
    number
        Writes a number with a number of digits.

    Returns
    -------
    One ``svg`` element.

    Raises
    ------
    ValueError
        If names and bounds do not go together, or the estimate is not finite.
    """
    if bounds_g_dl and len(names) != len(bounds_g_dl) + 1:
        raise ValueError("there must be one more name than bounds")
    if not math.isfinite(estimate_g_dl):
        raise ValueError("the estimate is not a number")
    ends = [end for end in (low_g_dl, high_g_dl) if end is not None]
    scale = hemoglobin_scale([estimate_g_dl, *ends, *bounds_g_dl])
    left = scale.start if low_g_dl is None else scale(low_g_dl)
    right = scale.end if high_g_dl is None else scale(high_g_dl)
    parts = [*_bands(scale, bounds_g_dl, names, number)]
    parts += [_line("interval", left, 70, right, 70)]
    # An open end has no cap: the interval goes on.
    parts += [
        _line("cap", x, 61, x, 79)
        for x, end in ((left, low_g_dl), (right, high_g_dl))
        if end is not None
    ]
    parts += [f'<circle class="estimate" cx="{_at(scale(estimate_g_dl))}" cy="70" r="7"/>']
    parts += _axis(scale, 100, words.axis, number, _step(scale.high - scale.low, 8))
    return _svg("interval-chart", 146, words.title, parts)


def _bands(
    scale: Scale, bounds: Sequence[float], names: Sequence[str], number: Number
) -> list[str]:
    if not bounds:
        return [f'<rect class="band" x="{_at(scale.start)}" y="44" '
                f'width="{_at(scale.end - scale.start)}" height="52"/>']  # fmt: skip
    edges = [scale.start, *(scale(bound) for bound in bounds), scale.end]
    parts = []
    for index, name in enumerate(names):
        left, right = edges[index], edges[index + 1]
        parts.append(
            f'<rect class="band band-{index}" x="{_at(left)}" y="44" '
            f'width="{_at(right - left)}" height="52"/>'
        )
        # Names stand in two rows by turns: a band of 1 g/dL is narrower than its name. The outer
        # ones begin and end with the drawing, so that they are never cut.
        row = 18 if index % 2 else 34
        if index == 0:
            parts.append(_text("band-name first", scale.start, row, name))
        elif index == len(names) - 1:
            parts.append(_text("band-name last", scale.end, row, name))
        else:
            parts.append(_text("band-name", max((left + right) / 2, 60), row, name))
    return [*parts, *_bounds(bounds, edges[1:-1], number)]


def _bounds(bounds: Sequence[float], places: Sequence[float], number: Number) -> list[str]:
    parts = []
    for index, (bound, x) in enumerate(zip(bounds, places, strict=True)):
        name, at = "bound-value", x
        # Two that stand close together turn away from each other.
        if index + 1 < len(places) and places[index + 1] - x < _VALUE_WIDTH:
            name, at = "bound-value last", x + 2
        elif index and x - places[index - 1] < _VALUE_WIDTH:
            name, at = "bound-value first", x - 2
        parts += [_text(name, at, 56, number(bound, 1)), _line("bound", x, 60, x, 96)]
    return parts


def pulse_chart(
    time_s: Sequence[float], pulse: Sequence[float | None], words: ChartWords, number: Number
) -> str:
    """Draw a pulse wave over time.

    Parameters
    ----------
    time_s
        Ascending times, s.
    pulse
        Value at each time, any unit; None or NaN where there is none, and the line breaks.
    words
        Title and axis.
    number
        Writes a number with a number of digits.

    Returns
    -------
    One ``svg`` element; the empty text where fewer than two values are there.
    """
    points = [
        (float(t), float(p) if p is not None else math.nan)
        for t, p in zip(time_s, pulse, strict=True)
    ]
    known = [p for _, p in points if math.isfinite(p)]
    if len(known) < 2:
        return ""
    across = Scale(points[0][0], points[-1][0], MARGIN, WIDTH - MARGIN)
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 1.0, high + 1.0
    # The drawing's vertical axis points down.
    up = Scale(low, high, 84.0, 8.0)
    lines: list[list[str]] = [[]]
    for t, p in points:
        if math.isfinite(p):
            lines[-1].append(f"{_at(across(t))},{_at(up(p))}")
        elif lines[-1]:
            lines.append([])
    parts = [f'<polyline class="wave" points="{" ".join(line)}"/>' for line in lines if line]
    parts += _axis(across, 92, words.axis, number, _step(across.high - across.low, 7))
    return _svg("pulse-chart", 138, words.title, parts)


def _step(span: float, most: int) -> float:
    """Return the smallest of 1, 2, 5, 10, ... that divides a span into at most so many parts."""
    power = 0
    while True:
        for digit in (1, 2, 5):
            step = float(digit * 10**power)
            if span / step <= most:
                return step
        power += 1


def _axis(scale: Scale, top: float, name: str, number: Number, step: float) -> list[str]:
    parts = [_line("axis", scale.start, top, scale.end, top)]
    tick = math.ceil(scale.low / step) * step
    while tick <= scale.high:
        x = scale(tick)
        parts += [_line("axis", x, top, x, top + 5)]
        parts += [_text("tick", x, top + 19, number(tick, 0))]
        tick += step
    return [*parts, _text("axis-name", WIDTH / 2, top + 38, name)]


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{name}" x1="{_at(x1)}" y1="{_at(y1)}" x2="{_at(x2)}" y2="{_at(y2)}"/>'


def _text(name: str, x: float, y: float, text: str) -> str:
    return f'<text class="{name}" x="{_at(x)}" y="{_at(y)}">{escape(text)}</text>'


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _svg(name: str, height: int, title: str, parts: Sequence[str]) -> str:
    # One picture for a screen reader: its title says what it shows.
    return (
        f'<svg class="{name}" viewBox="0 0 {WIDTH:g} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
