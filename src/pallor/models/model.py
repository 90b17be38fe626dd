"""A trained model: what it predicts with, and what it knows about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pallor.models.uncertainty import ConformalIntervals


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes
    ----------
    estimator
        Fitted `pallor.models.fusion.FusedRegressor`; its ``predict`` takes a feature table.
    metadata
        What it was trained on, how well it did in its own cross-validation, versions: plain
        values that JSON can hold. See `pallor.models.training.train`.
    intervals
        Conformal prediction intervals.
    estimator_bytes
        The estimator as it stands in the file; its hash is the `model_id`.
    """

    estimator: Any
    metadata: Mapping[str, Any]
    intervals: ConformalIntervals
    estimator_bytes: bytes = field(repr=False)

    @property
    def model_id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the estimator."""
        return str(self.metadata["id"])

    @property
    def modalities(self) -> list[str]:
        """Modalities that the model needs, ``demographics`` included where it uses them."""
        return list(self.metadata["modalities"])

    @property
    def feature_names(self) -> list[str]:
        """Columns that the estimator needs, in the order of training."""
        return list(self.metadata["feature_names"])

    @property
    def simulated(self) -> bool:
        """Whether the model was trained on simulated clips."""
        return bool(self.metadata["simulated"])

    def summary(self) -> str:
        """Say in one line what the model is and how well it did in its own cross-validation."""
        metrics, cohort = self.metadata["metrics"], self.metadata["cohort"]
        baselines = ", ".join(
            f"{name} alone {figures['mae']:.2f}" for name, figures in metrics["baselines"].items()
        )
        stamp = "SIMULATED, " if self.simulated else ""
        return (
            f"{stamp}{self.metadata['regressor']} on {', '.join(self.modalities)}, "
            f"{cohort['participants']} participants, {cohort['clips']} clips; "
            f"{metrics['validation']}: MAE {metrics['mae']:.2f} g/dL ({baselines})"
        )
