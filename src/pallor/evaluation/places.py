"""Where on the face a feature comes from, read off its name; and groups of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pallor.features.pooling import STATISTICS
from pallor.models.preprocessing import DEMOGRAPHICS

CROP: Final = "crop"
"""The place of embeddings: a network is shown the whole aligned face (or region still)."""

_PART_OF: Final[Mapping[str, str]] = {
    "left_cheek": "cheeks",
    "right_cheek": "cheeks",
    "tissue_reddest": "tissue",
    "tissue_palest": "tissue",
}
_MINUS: Final = "_minus_"


@dataclass(frozen=True)
class Group:
    """Features that are looked at together.

    Attributes
    ----------
    name
        Of the modality or the place.
    kind
        ``modality`` or ``place``.
    columns
        Its features; groups of places may share some.
    """

    name: str
    kind: str
    columns: tuple[str, ...]


def place_of(column: str) -> str:
    """Name the one place of a feature, differences as places of their own.

    Parameters
    ----------
    column
        ``modality.place.quantity.statistic``, or ``modality.statistic.number`` of an embedding.

    Returns
    -------
    str
        A region with left and right cheek as ``cheeks``; ``lips_minus_sclera`` and the like as
        they are; ``face`` for what the pulse has of forehead and cheeks together; `CROP` for
        embeddings; ``demographics`` for sex and age. Every feature has exactly one, so that
        what is summed over places is summed once.

    Raises
    ------
    ValueError
        If the name has no place.
    """
    modality, _, rest = column.partition(".")
    place = rest.partition(".")[0]
    if not modality or not place:
        raise ValueError(f"{column!r} is not the name of a feature: modality.place.quantity")
    if modality == DEMOGRAPHICS:
        return DEMOGRAPHICS
    if place in STATISTICS:
        return CROP
    return _PART_OF.get(place, place)


def places_of(column: str) -> tuple[str, ...]:
    """Name every place whose pixels a feature compares: both sides of a difference.

    A feature such as ``color.lips_minus_sclera.log_rg.mean`` still tells of the lips after the
    columns ``color.lips.*`` have been made useless, and of the sclera, too.

    Parameters
    ----------
    column
        As in `place_of`.

    Returns
    -------
    tuple of str
        One place, or the two of a difference. ``face`` and `CROP` are not taken apart.
    """
    place = place_of(column)
    sides = (_PART_OF.get(side, side) for side in place.split(_MINUS))
    return tuple(dict.fromkeys(sides))


def groups_of(columns: Mapping[str, Sequence[str]]) -> tuple[Group, ...]:
    """Group features by modality, and by place over all modalities.

    Parameters
    ----------
    columns
        Features of each modality.

    Returns
    -------
    tuple of Group
        Modalities (``demographics`` among them), which share no feature; then places in
        alphabetical order, in which a difference of two places belongs to both (`places_of`).
    """
    modalities = [Group(name, "modality", tuple(names)) for name, names in columns.items()]
    at: dict[str, list[str]] = {}
    for modality, names in columns.items():
        if modality == DEMOGRAPHICS:
            continue
        for name in names:
            for place in places_of(name):
                at.setdefault(place, []).append(name)
    return (*modalities, *(Group(place, "place", tuple(at[place])) for place in sorted(at)))
