"""What is told of the models that are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pallor.errors import UsageError

SHOWN = (
    "id", "simulated", "modalities", "regressor", "input_kind", "coverage", "pallor_version",
    "cohort", "metrics", "notes",
)  # fmt: skip
"""Of a model's metadata. Versions of libraries are for who attacks them."""


@dataclass(frozen=True)
class LoadedModels:
    """The models of an instance, the default first.

    Attributes
    ----------
    cards
        Model id to what is told of it.
    """

    cards: Mapping[str, Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.cards)

    @property
    def default(self) -> str | None:
        """Id of the model that is used unless another is named."""
        return next(iter(self.cards), None)

    def find(self, name_or_id: str) -> str | None:
        """Return the id of a model by its id or name; None where there is none."""
        if name_or_id in self.cards:
            return name_or_id
        named = (i for i, card in self.cards.items() if card["name"] == name_or_id)
        return next(named, None)


def read_cards(paths: Sequence[Path]) -> LoadedModels:
    """Read the cards of model files.

    Raises
    ------
    ModelFileError
        One cannot be used.
    UsageError
        Two are the same, or have the same name.
    """
    from pallor.models.bundle import read_metadata

    cards: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        metadata = read_metadata(path)
        if metadata["id"] in cards:
            raise UsageError(f"{path}: this model was given twice")
        if any(card["name"] == path.stem for card in cards.values()):
            raise UsageError(
                f"{path}: another model is named {path.stem!r}, too: rename one of the files"
            )
        shown = {name: metadata[name] for name in SHOWN if name in metadata}
        cards[metadata["id"]] = {**shown, "name": path.stem}
    return LoadedModels(cards)
