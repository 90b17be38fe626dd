"""What an evaluation is asked for: which models, on which columns, under which protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.controls import CONTROLS, control_columns, control_features
from pallor.evaluation.part_store import OpenStore
from pallor.evaluation.task import ModelFactory, Spec

if TYPE_CHECKING:
    import pandas as pd

DEMOGRAPHICS: Final = "demographics"
PAIRED: Final = "color"
"""The modality that is paired with each other one."""
HEADLINE: Final = "stacking"
"""The regressor whose score on all modalities is the result, fixed before any is seen."""


@dataclass(frozen=True)
class Request:
    """What was asked for, checked; the same for the scoring with and without copies.

    Attributes
    ----------
    protocol, group, seed, folds, repeats, bootstrap, unit, quick, workers
        As in ``evaluate``.
    factory
        Makes the models.
    modalities
        Those that are evaluated.
    specs
        The models of the table.
    incremental
        Stacking on sex, age and all modalities; None where that cannot be fitted.
    controls
        Control to the model of sex, age and what it sees (``pallor.evaluation.controls``).
    open_store
        Where finished parts are kept; None to keep none.
    """

    protocol: str
    group: str | None
    seed: int
    folds: int | None
    repeats: int | None
    bootstrap: int
    unit: str
    quick: bool
    workers: int
    factory: ModelFactory
    modalities: tuple[str, ...]
    specs: tuple[Spec, ...]
    incremental: Spec | None
    controls: Mapping[str, Spec]
    open_store: OpenStore | None

    @property
    def all_specs(self) -> tuple[Spec, ...]:
        """Models of the table, that of the incremental R2 where it is another, and controls."""
        more = () if self.incremental is None else (self.incremental,)
        return tuple(dict.fromkeys((*self.specs, *more, *self.controls.values())))

    @property
    def table_specs(self) -> tuple[Spec, ...]:
        """All but the controls."""
        return tuple(spec for spec in self.all_specs if spec not in self.controls.values())

    @property
    def headline(self) -> Spec | None:
        """Stacking on all modalities, where it was asked for."""
        for spec in self.specs:
            if spec.modalities == self.modalities and spec.regressor == HEADLINE:
                return spec
        return None


def modalities_asked(table: pd.DataFrame, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Settle which modalities are evaluated, in the registry's order.

    Parameters
    ----------
    table
        Feature or cohort table.
    asked
        Names; None for all that the table holds. ``demographics`` only when named.

    Raises
    ------
    FeatureTableError
        If the table lacks one of them.
    """
    from pallor.cohort.feature_table import modalities_of

    held = list(modalities_of(table))
    if asked is None:
        return tuple(name for name in held if name != DEMOGRAPHICS)
    unknown = [name for name in asked if name not in held and name != DEMOGRAPHICS]
    if unknown:
        raise FeatureTableError(
            f"the table holds no features of {', '.join(unknown)}, only of"
            f" {', '.join(held) or 'none'}: extract them, or ask for others"
        )
    # One order whatever order was typed, so that names of models are stable.
    return tuple(name for name in (DEMOGRAPHICS, *held) if name in asked)


def learners_of(regressors: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Look up what each regressor is made of.

    Raises
    ------
    UsageError
        If a name is unknown, or none is given.
    """
    from pallor.models.regressors import REGRESSORS

    unknown = [name for name in regressors if name not in REGRESSORS]
    if unknown or not regressors:
        raise UsageError(
            f"regressors {', '.join(unknown) or '(none)'} are unknown; choose from"
            f" {', '.join(REGRESSORS)}"
        )
    return {name: tuple(REGRESSORS[name]) for name in dict.fromkeys(regressors)}


def columns_of_modalities(table: pd.DataFrame, modalities: Sequence[str]) -> tuple[str, ...]:
    """Name the feature columns of several modalities, in their order."""
    from pallor.cohort.feature_table import feature_columns
    from pallor.models.preprocessing import DEMOGRAPHIC_COLUMNS

    return tuple(
        column
        for name in modalities
        for column in (
            DEMOGRAPHIC_COLUMNS if name == DEMOGRAPHICS else feature_columns(table, name)
        )
    )


def make_specs(
    table: pd.DataFrame, modalities: tuple[str, ...], learners: dict[str, tuple[str, ...]]
) -> tuple[Spec, ...]:
    """Plan the table: each modality alone, color with each other, and all, under each regressor."""
    sets: list[tuple[str, ...]] = [(name,) for name in modalities]
    if PAIRED in modalities:
        # The order of the modalities, so that the pair of two is the set of all.
        sets += [
            tuple(one for one in modalities if one in (PAIRED, name))
            for name in modalities
            if name not in (PAIRED, DEMOGRAPHICS)
        ]
    if len(modalities) > 1:
        sets.append(modalities)
    sets = list(dict.fromkeys(sets))
    return tuple(
        Spec(chosen, regressor, names, columns_of_modalities(table, chosen))
        for chosen in sets
        for regressor, names in learners.items()
    )


def make_controls(table: pd.DataFrame, learners: tuple[str, ...]) -> dict[str, Spec]:
    """Plan the control models; none where the table does not hold what they see."""
    return {
        name: Spec((DEMOGRAPHICS, name), HEADLINE, learners, control_columns(table, name))
        for name, columns in CONTROLS.items()
        if columns(table)
    }


def with_controls(table: pd.DataFrame, controls: Mapping[str, Spec]) -> pd.DataFrame:
    """Return the table with what the controls see as modalities of their own."""
    import pandas as pd

    return pd.concat([table, *(control_features(table, name) for name in controls)], axis=1)


def features_of(table: pd.DataFrame, specs: Sequence[Spec]) -> pd.DataFrame:
    """Gather the columns that the models need, sex and age included where one asks.

    Returns
    -------
    ``(rows, columns)`` with the index 0, 1, ...
    """
    import pandas as pd

    from pallor.models.preprocessing import DEMOGRAPHIC_COLUMNS, demographic_features

    columns = list(dict.fromkeys(column for spec in specs for column in spec.columns))
    measured = [column for column in columns if column not in DEMOGRAPHIC_COLUMNS]
    parts = [table[measured]]
    if len(measured) < len(columns):
        parts.append(demographic_features(table))
    return pd.concat(parts, axis=1)[columns].reset_index(drop=True)
