"""Agreement with the measurement: limits, errors by hemoglobin, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pallor.report.calibration import calibration_points
from pallor.report.table import Column, Row, Table

if TYPE_CHECKING:
    import pandas as pd

FEW: Final = "fewer than 20 participants: no conclusion"

_LIMITS: Final = (
    ("bias", "Bias, estimated minus measured (g/dL)", "bias"),
    ("lower_limit", "Lower limit of agreement (g/dL)", "lower_limit"),
    ("upper_limit", "Upper limit of agreement (g/dL)", "upper_limit"),
)
_DEVIATIONS: Final = (
    ("sd_g_dl", "Standard deviation of a difference (g/dL)"),
    ("sd_between_g_dl", "between participants"),
    ("sd_within_g_dl", "within participants"),
)
_SLOPES: Final = (
    ("slope_on_mean", "Slope of the difference on the mean of both"),
    ("slope_on_reference", "Slope of the difference on the measurement"),
)


def agreement(metrics: Mapping[str, Any]) -> Table | None:
    """Bias and limits of agreement of the main result."""
    found = metrics["agreement"]
    if found is None:
        return None
    rows = [
        Row(
            {
                "quantity": f"{key}_g_dl",
                "label": label,
                "by_normal_theory": found[f"{name}_g_dl"],
                "by_bootstrap": found[f"{name}_bootstrap_g_dl"],
            }
        )
        for key, label, name in _LIMITS
    ]
    rows += [
        Row(
            {
                "quantity": key,
                "label": label,
                "by_normal_theory": {"value": found[key], "low": None, "high": None},
            }
        )
        for key, label in _DEVIATIONS
        if found[key] is not None
    ]
    rows += [
        Row({"quantity": key, "label": label, "by_bootstrap": found[key]}) for key, label in _SLOPES
    ]
    return Table(
        "agreement",
        "Agreement of the main result with the measurement after Bland and Altman, with 95 %"
        " intervals. Slopes below 0 are regression to the mean: high values are underestimated,"
        " low ones overestimated.",
        (
            Column("quantity", "", on_page=False),
            Column("label", "", in_file=False),
            Column("by_normal_theory", "Interval by normal theory", "interval"),
            Column("by_bootstrap", "Interval by bootstrap", "interval"),
        ),
        tuple(rows),
    )


def bin_name(low: float | None, high: float | None) -> str:
    """Name a bin of hemoglobin, ``11 to <12``."""
    if low is None:
        return f"<{high:g}"
    return f"≥{low:g}" if high is None else f"{low:g} to <{high:g}"


def error_by_hemoglobin(metrics: Mapping[str, Any]) -> Table | None:
    """Error of the main result where blood is thin, normal and rich."""
    if metrics["error_by_hemoglobin"] is None:
        return None
    rows = [
        Row(
            {
                "label": bin_name(one["low_g_dl"], one["high_g_dl"]),
                **{key: one[key] for key in ("low_g_dl", "high_g_dl", "units", "participants")},
                "mae_g_dl": one["mae"],
                "bias_g_dl": one["bias"],
                **({"remark": FEW} if one["few"] else {}),
            }
        )
        for one in metrics["error_by_hemoglobin"]
        if one["units"]
    ]
    return Table(
        "error_by_hemoglobin",
        "Error of the main result by measured hemoglobin, with 95 % intervals. A positive bias"
        " where hemoglobin is low means that anemia is underestimated.",
        (
            Column("label", "Measured (g/dL)", in_file=False),
            Column("low_g_dl", "", "number", on_page=False),
            Column("high_g_dl", "", "number", on_page=False),
            Column("participants", "Participants", "number", 0),
            Column("units", "", "number", on_page=False),
            Column("mae_g_dl", "MAE (g/dL)", "interval"),
            Column("bias_g_dl", "Bias (g/dL)", "interval", signed=True),
            Column("remark", "Remark"),
        ),
        tuple(rows),
    )


def calibration(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> Table | None:
    """Mean measured by mean estimated hemoglobin; for the file, the page draws it."""
    points = calibration_points(metrics, predictions)
    if not points:
        return None
    rows = [
        Row(
            {
                "units": point.units,
                "participants": point.participants,
                "estimated_g_dl": point.estimated_g_dl,
                "measured_g_dl": point.measured_g_dl.as_dict(),
            },
            note=FEW if point.few else "",
        )
        for point in points
    ]
    return Table(
        "calibration",
        "Groups of equal size by the estimate of the main result, first repeat.",
        (
            Column("participants", "Participants", "number", 0),
            Column("units", "", "number", 0),
            Column("estimated_g_dl", "Mean estimated (g/dL)", "number"),
            Column("measured_g_dl", "Mean measured (g/dL)", "interval"),
        ),
        tuple(rows),
    )
