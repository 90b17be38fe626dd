"""Figures as inline SVG: the same bytes for the same data, readable in gray and by the color-blind.

Colors are of Okabe and Ito, Color Universal Design, 2008; every distinction is carried by
shape or position as well.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
INK: Final = "#222222"
GRAY: Final = "#8a8a8a"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}


_LONGEST: Final = 48
"""Characters of a label; more would leave no room for the figure."""


@dataclass(frozen=True)
class Bar:
    """One line of a comparison.

    Attributes
    ----------
    label
        What it is.
    value, low, high
        The score and its interval; NaN where undefined.
    kind
        ``baseline``, ``model`` or ``headline``.
    """

    label: str
    value: float
    low: float
    high: float
    kind: str


_MARKS: Final = {
    "baseline": ("s", GRAY),
    "model": ("o", BLUE),
    "headline": ("D", VERMILION),
}


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Write a figure as an ``<svg>`` element for a page.

    Parameters
    ----------
    figure
        What to write.
    name
        Letters and hyphens; what its identifiers start with, since those of two figures on
        a page must differ.
    description
        Text for readers who do not see the figure.

    Returns
    -------
    The element without XML header, document type or metadata; no date, no address to load.
    """
    import matplotlib as mpl
    from markupsafe import escape

    buffer = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Identifiers of two figures on one page must differ: text_1 becomes scatter-text_1.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    # Without the size in points the page's style decides the width, and the viewBox the rest.
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(description)}">{rest.strip()}'


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def scatter(measured: FloatArray, predicted: FloatArray) -> str:
    """Draw estimates against measurements, g/dL, ``(units,)`` each, with the line of identity."""
    figure, axes = _new(4.2, 4.0)
    both = np.concatenate([measured, predicted])
    pad = 0.05 * (float(np.ptp(both)) or 1.0)
    low, high = float(both.min()) - pad, float(both.max()) + pad
    axes.plot([low, high], [low, high], color=GRAY, linewidth=1, linestyle="--", zorder=1)
    axes.scatter(measured, predicted, s=16, color=BLUE, alpha=0.55, linewidths=0, zorder=2)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel("measured hemoglobin (g/dL)")
    axes.set_ylabel("estimated hemoglobin (g/dL)")
    return to_svg(
        figure, "scatter", f"Estimated against measured hemoglobin of {len(measured)} units."
    )


def bland_altman(
    measured: FloatArray, predicted: FloatArray, bias: float, limits: tuple[float, float]
) -> str:
    """Draw differences against means, g/dL, with bias and limits of agreement.

    Bland and Altman, Lancet 1986;327:307-310.
    """
    figure, axes = _new(4.2, 4.0)
    axes.scatter(
        (measured + predicted) / 2,
        predicted - measured,
        s=16, color=BLUE, alpha=0.55, linewidths=0, zorder=2,
    )  # fmt: skip
    axes.axhline(0, color=GRAY, linewidth=0.7)
    for value, style, label in (
        (bias, "-", "bias"),
        (limits[0], "--", "lower limit"),
        (limits[1], "--", "upper limit"),
    ):
        if np.isfinite(value):
            axes.axhline(value, color=VERMILION, linewidth=1.2, linestyle=style)
            axes.annotate(
                f"{label} {value:+.2f}".replace("-", "−"),
                (1.0, value), xycoords=("axes fraction", "data"), xytext=(0, 3),
                textcoords="offset points", ha="right", va="bottom", fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
    axes.set_xlabel("mean of estimated and measured (g/dL)")
    axes.set_ylabel("estimated minus measured (g/dL)")
    return to_svg(
        figure,
        "bland-altman",
        f"Differences of {len(measured)} units: bias {bias:.2f} g/dL, 95 % limits of agreement"
        f" {limits[0]:.2f} to {limits[1]:.2f} g/dL.",
    )


def comparison(bars: Sequence[Bar], score: str, name: str) -> str:
    """Draw one score of every baseline and model with its interval, one line each."""
    figure, axes = _new(4.8, 0.9 + 0.25 * len(bars))
    for row, bar in enumerate(bars):
        marker, color = _MARKS[bar.kind]
        axes.plot([bar.low, bar.high], [row, row], color=color, linewidth=1.6)
        axes.plot([bar.value], [row], marker, color=color, markersize=5.5)
    axes.set_yticks(range(len(bars)), [_short(bar.label) for bar in bars], fontsize=8)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="#e2e2e2", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlabel(score)
    told = "; ".join(f"{bar.label} {bar.value:.2f}" for bar in bars)
    return to_svg(figure, name, f"{score}: {told}.")
