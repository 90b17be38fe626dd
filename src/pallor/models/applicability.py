"""Whether a model applies to a clip and a person.

A model says what it was trained on; an estimate outside of that is extrapolation. Some of it
is refused (another kind of input, networks at another precision, an age far outside), the rest
is said in words that stay attached to the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pallor.errors import OutsideModelError

AGE_MARGIN_YEARS = 5.0
"""Within this many years outside the training range an age is warned about, beyond it refused.

For children the margin is a quarter of the age instead: what is normal changes quickly."""


@dataclass(frozen=True)
class Applicability:
    """What speaks against using a model here.

    Attributes
    ----------
    refusals
        No estimate may be given.
    warnings
        The estimate is given and these stay attached to it.
    """

    refusals: tuple[OutsideModelError, ...] = ()
    warnings: tuple[OutsideModelError, ...] = ()

    @property
    def blocking(self) -> bool:
        """Whether an estimate is refused."""
        return bool(self.refusals)


def check_applicability(
    metadata: Mapping[str, Any],
    *,
    clip: str | None = None,
    input_kind: str,
    age_years: float | None = None,
    sex: str | None = None,
    feature_precision: str | None = None,
    simulated: bool | None = None,
    modalities: Sequence[str] | None = None,
) -> Applicability:
    """Compare a clip and a person with what a model was trained on.

    Parameters
    ----------
    metadata
        `pallor.models.model.Model.metadata`.
    clip
        Its name, for the messages.
    input_kind
        ``face_video``, ``face_still`` or ``region_still``.
    age_years, sex
        Of the person, where known; sex is ``female`` or ``male``.
    feature_precision
        Precision of the networks that made the features, such as ``fp32``, where known.
    simulated
        Whether the clip was rendered by a simulation, where known.
    modalities
        Modalities that can be computed, where known.

    Returns
    -------
    Applicability
    """
    refusals: list[str] = []
    warnings: list[str] = []
    trained_kind = metadata["input_kind"]
    if input_kind != trained_kind:
        refusals.append(
            f"the model was trained on clips of kind {trained_kind}, this one is {input_kind}: "
            "use a model for this kind of clip"
        )
    trained_precision = metadata.get("precision")
    known = None not in (trained_precision, feature_precision)
    if known and trained_precision != feature_precision:
        refusals.append(
            f"the model was trained on features of precision {trained_precision}, these are "
            f"{feature_precision}: extract them again with {trained_precision}"
        )
    missing = sorted(
        set(metadata["modalities"]) - {"demographics"} - set(modalities or metadata["modalities"])
    )
    if missing:
        refusals.append(
            f"the model needs the modality {missing[0]}, which was not computed for this clip"
        )
    _check_simulated(bool(metadata["simulated"]), simulated, warnings)
    _check_age(metadata["cohort"].get("age_years"), age_years, refusals, warnings)
    _check_sex(metadata["cohort"].get("sex") or {}, sex, warnings)
    if "demographics" in metadata["modalities"]:
        for what, value in (("sex", sex), ("age_years", age_years)):
            if value is None:
                warnings.append(
                    f"the model uses {what}, which was not given: the training average stands in"
                )
    name = f"{clip}: " if clip else ""
    return Applicability(
        tuple(OutsideModelError(name + text) for text in refusals),
        tuple(OutsideModelError(name + text) for text in warnings),
    )


def _check_simulated(trained: bool, clip: bool | None, warnings: list[str]) -> None:
    if trained and not clip:
        warnings.append(
            "the model was trained on simulated clips: what it says of a real person is worthless"
        )
    if clip and not trained:
        warnings.append("the clip is simulated, the model was trained on real clips")


def _check_age(
    trained: Mapping[str, Any] | None,
    age: float | None,
    refusals: list[str],
    warnings: list[str],
) -> None:
    if age is None:
        return
    if not trained or trained.get("min") is None or trained.get("max") is None:
        warnings.append("the ages of the training cohort are not known")
        return
    low, high = float(trained["min"]), float(trained["max"])
    if low <= age <= high:
        return
    margin = min(AGE_MARGIN_YEARS, age / 4.0)
    text = f"age {age:g} years lies outside the training range of {low:g} to {high:g} years"
    if low - margin <= age <= high + margin:
        warnings.append(text)
    else:
        refusals.append(f"{text} by more than {margin:g}: use a model trained on this age")


def _check_sex(trained: Mapping[str, int], sex: str | None, warnings: list[str]) -> None:
    if sex is None:
        return
    known = {name: count for name, count in trained.items() if name in ("female", "male")}
    if not known:
        warnings.append("the sex of the training participants is not known")
    elif not known.get(sex):
        warnings.append(f"the model was trained without any {sex} participant")
