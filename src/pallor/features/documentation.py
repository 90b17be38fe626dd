"""The reference of all features, written from their own documentation.

``python -m pallor.features.documentation > docs/features.md`` brings the file up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from pallor.features.registry import MODALITIES, load_modalities
from pallor.features.settings import FeatureSettings
from pallor.features.statistics import MIN_PIXELS, STATISTICS

_INTRODUCTION = f"""# Features

A feature is called `modality.place.quantity.statistic`. Its name depends on the kind of input
alone (face video, face still, region still), so every clip of a kind has the same columns.
Values are float32. What is undefined is NaN, never zero: a region out of view or with fewer
than {MIN_PIXELS} pixels, a spread over time in a still, the angle of a color that has none.

Places of a face are the regions; a region still has the one place `tissue`. `a_minus_b` is the
difference between two places of the same picture.
"""

_COLOR_STATISTICS = """Statistics over the pixels of a region in one sample; the value is the
median over the samples of the clip.
"""


def render_documentation(modalities: Iterable[str] | None = None) -> str:
    """Render the feature reference as Markdown.

    Parameters
    ----------
    modalities
        Names out of the registry; all by default.

    Returns
    -------
    str
        A section a modality with one table row a documented pattern; ends with a newline.

    Raises
    ------
    UsageError
        For an unknown modality.
    """
    names = MODALITIES if modalities is None else modalities
    parts = [_INTRODUCTION]
    for name, modality in load_modalities(names, FeatureSettings()).items():
        kinds = ", ".join(sorted(kind.value.replace("_", " ") for kind in modality.input_kinds))
        parts.append(f"## {name}\n\nDefined for: {kinds}.\n")
        parts.append(
            _table(
                ("feature", "what it measures", "formula", "unit", "source"),
                [
                    (f"`{doc.pattern}`", doc.description, doc.formula, doc.unit, doc.source)
                    for doc in modality.docs
                ],
            )
        )
        if name == "color":
            parts.append(f"### Statistics\n\n{_COLOR_STATISTICS}")
            parts.append(
                _table(("statistic", "definition"), [(f"`{s}`", d) for s, d in STATISTICS.items()])
            )
    return "\n".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render_documentation())
