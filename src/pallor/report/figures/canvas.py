"""How figures look, and how they become SVG and PNG: equal data, equal bytes.

Readable in gray and by the color-blind: colors are of Okabe and Ito, Color Universal Design,
2008, and every distinction is carried by shape or position as well.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
INK: Final = "#222222"
GRAY: Final = "#8a8a8a"
GRID: Final = "#e2e2e2"
PRINT_DPI: Final = 200
"""Dots an inch of the PNG files."""
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}
LONGEST: Final = 80
"""Characters of a name; more would leave no room for the figure."""


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes
    ----------
    name
        Letters and hyphens: of the files, and what identifiers on the page start with.
    figure
        The figure.
    description
        Text for readers who do not see it.
    caption
        What is said below it.
    """

    name: str
    figure: Figure
    description: str
    caption: str


def new(width: float, height: float) -> tuple[Figure, Axes]:
    """Begin a figure of one panel, inches."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        return figure, figure.add_subplot()


def short(label: str, longest: int = LONGEST) -> str:
    """Shorten a label, and blank out what is no printable character."""
    plain = "".join(sign if sign.isprintable() else " " for sign in label)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def y_labels(axes: Axes, labels: list[str], line: int = 40) -> None:
    """Name the rows of a figure as they are, dollar signs included.

    Parameters
    ----------
    axes
        Whose rows are at 0, 1, ...
    labels
        One a row.
    line
        Characters of a line; a label gets two lines at most.
    """
    shown = ["\n".join(textwrap.wrap(short(label, 2 * line), line)[:2]) for label in labels]
    axes.set_yticks(range(len(labels)), shown, fontsize=8, linespacing=1.05)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def legend(axes: Axes, **options: Any) -> None:
    """Add a legend whose labels are taken as they are."""
    for text in axes.legend(frameon=False, fontsize=8, **options).get_texts():
        text.set_parse_math(False)


def stamp(figure: Figure) -> None:
    """Say in the figure that it shows simulated data."""
    figure.suptitle("SIMULATED", x=0.99, ha="right", fontsize=7, color=VERMILION, weight="bold")


def finite(score: Mapping[str, float | None]) -> tuple[float, float, float]:
    """Return value, low and high of an interval, NaN where undefined."""
    value, low, high = (score[key] for key in ("value", "low", "high"))
    nan = float("nan")
    return (
        nan if value is None else value,
        nan if low is None else low,
        nan if high is None else high,
    )


def _save(drawing: Drawing, buffer: Any, **options: Any) -> None:
    import matplotlib as mpl

    with mpl.rc_context({**_STYLE, "svg.hashsalt": drawing.name}), warnings.catch_warnings():
        # Signs that the font lacks are drawn as boxes; the SVG holds them as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        drawing.figure.savefig(buffer, **options)


def svg_file(drawing: Drawing) -> str:
    """Write a figure as an SVG document without date or address."""
    buffer = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    _save(drawing, buffer, format="svg", metadata=empty)
    text = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text[text.index("<svg") :]


def png_file(drawing: Drawing) -> bytes:
    """Write a figure as a PNG image on white, at print resolution."""
    buffer = io.BytesIO()
    _save(drawing, buffer, format="png", dpi=PRINT_DPI, metadata={"Software": None})
    return buffer.getvalue()


def svg_element(drawing: Drawing) -> str:
    """Write a figure as an ``<svg>`` element for a page.

    Returns
    -------
    The element without XML header, document type or metadata; no date, no address to load.
    """
    from markupsafe import escape

    text = svg_file(drawing)
    text = text[text.index("<svg") :]
    # Identifiers of two figures on one page must differ: text_1 becomes scatter-text_1.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    # Without the size in points the page's style decides the width, and the viewBox the rest.
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(drawing.description)}">{rest.strip()}'
