"""Flow of the participants: read, left out and why, scored."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pallor.report import words
from pallor.report.figures.canvas import GRAY, INK, Drawing, new, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LINE: Final = 0.2
"""Height of a line of text, inches."""
_PAD: Final = 0.14
_GAP: Final = 0.4
_WIDTH: Final = 2.3
MOST_REASONS: Final = 12


def _counts(part: Mapping[str, Any]) -> str:
    people = words.plural(part["participants"], "participant")
    return f"{people}, {words.plural(part['clips'], 'clip')}"


def _step(found: Mapping[str, Any], key: str) -> str:
    return _counts({kind: found[kind][key] for kind in ("participants", "clips")})


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(short(text, 160), width) or [""]


def flow(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing:
    """Draw the boxes from those read to those scored, exclusions beside."""
    found = metrics["flow"]
    reasons = found["left_out"]
    aside: list[str] = []
    for part in reasons[:MOST_REASONS]:
        aside += _wrapped(f"{part['reason']}: {_counts(part)}", 44)
    if len(reasons) > MOST_REASONS:
        aside.append(f"and {len(reasons) - MOST_REASONS} more reasons, see the table")
    boxes = [["Read", _step(found, "read")], ["Scored", _step(found, "scored")]]
    without = metrics["without_duplicates"]
    if without is not None:
        boxes.append(["Of these, without copies", _counts(without)])
    side = ["Left out", *aside] if aside else ["Nobody left out"]
    heights = [_PAD * 2 + _LINE * len(box) for box in boxes]
    side_height = _PAD * 2 + _LINE * len(side)
    gaps = [max(_GAP, side_height + 0.3), *[_GAP] * (len(boxes) - 2)]
    total = sum(heights) + sum(gaps)
    figure, axes = new(6.2, total + 0.1)
    axes.set_axis_off()
    axes.set_xlim(0, 6.2)
    axes.set_ylim(total + 0.05, -0.05)
    top = 0.0
    for number, box in enumerate(boxes):
        _box(axes, 0.02, top, _WIDTH, heights[number], box, bold=True)
        bottom = top + heights[number]
        if number < len(gaps):
            middle = bottom + gaps[number] / 2
            _arrow(axes, (_WIDTH / 2, bottom), (_WIDTH / 2, bottom + gaps[number]))
            if number == 0:
                _arrow(axes, (_WIDTH / 2, middle), (2.75, middle))
                _box(axes, 2.75, middle - side_height / 2, 3.4, side_height, side, bold=bool(aside))
            top = bottom + gaps[number]
    told = "; ".join(f"{part['reason']}: {_counts(part)}" for part in reasons) or "nobody"
    return Drawing(
        "flow",
        figure,
        f"Read: {_step(found, 'read')}. Left out: {told}. Scored: {_step(found, 'scored')}.",
        "Flow of the participants.",
    )


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, lines: list[str], *, bold: bool
) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((x, y), width, height, facecolor="white", edgecolor=GRAY, linewidth=0.9)
    )
    for number, line in enumerate(lines):
        axes.text(
            x + _PAD, y + _PAD + (number + 0.5) * _LINE, line,
            va="center", fontsize=8, color=INK, parse_math=False,
            weight="bold" if bold and number == 0 else "normal",
        )  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": GRAY, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
