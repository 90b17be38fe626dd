"""Estimate hemoglobin from a facial video, and prove what the estimate is worth.

What users import is named here and loaded when it is first touched, so that
``import pallor`` stays quick.

Examples
--------
>>> import pallor
>>> pallor.check("face.mp4").heart_rate_bpm  # doctest: +SKIP
72.4
>>> table = pallor.extract("cohort.csv", modalities=["color", "pulse"])  # doctest: +SKIP
>>> pallor.evaluate(table).report("report.html")  # doctest: +SKIP
>>> pallor.train(table).predict("face.mp4").hemoglobin_g_dl  # doctest: +SKIP
13.1
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pallor._version import __version__

if TYPE_CHECKING:
    from pallor import features
    from pallor.api import evaluate, extract, load_model, train
    from pallor.cohort.feature_table import iter_features, load_features
    from pallor.errors import PallorError
    from pallor.features.quality import check
    from pallor.video.recorder import record

_LAZY = {
    "PallorError": "pallor.errors",
    "check": "pallor.features.quality",
    "evaluate": "pallor.api",
    "extract": "pallor.api",
    "iter_features": "pallor.cohort.feature_table",
    "load_features": "pallor.cohort.feature_table",
    "load_model": "pallor.api",
    "record": "pallor.video.recorder",
    "train": "pallor.api",
}

__all__ = [
    "PallorError",
    "__version__",
    "check",
    "evaluate",
    "extract",
    "features",
    "iter_features",
    "load_features",
    "load_model",
    "record",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "features":
        return import_module("pallor.features")
    if name not in _LAZY:
        raise AttributeError(f"module 'pallor' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
