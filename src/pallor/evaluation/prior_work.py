"""What others report: figures of published work with their sources, to stand beside one's own.

The figures were obtained on other people, with other references and other designs, many of
them on one test set or without a baseline, so they are context and no ranking.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PriorWork:
    """One reported result; None where it is not stated.

    Attributes
    ----------
    key
        Stable short name.
    study
        Who, in a few words.
    year
        Of publication.
    site
        What was looked at: ``face video``, ``fingernail``; ``device: ...`` for instruments.
    participants
        Whom the figures describe, as far as that is stated.
    method, reference_method
        How hemoglobin was estimated, and what it was compared with.
    mae, rmse, bias
        g/dL; bias is estimate minus reference unless ``note`` says otherwise.
    r, rho, r2
        Pearson and Spearman correlation, coefficient of determination.
    loa
        95 % limits of agreement, low and high, g/dL.
    auc, sensitivity, specificity
        For anemia, 0..1; ``note`` names thresholds that are not the usual ones.
    source
        Address.
    evidence
        Where the figures were read: ``abstract`` (or a copy of it) or ``page`` (the study's own).
    note
        What has to be known to read them.
    """

    key: str
    study: str
    year: int | None
    site: str
    participants: int | None
    method: str
    reference_method: str
    mae: float | None
    rmse: float | None
    r: float | None
    rho: float | None
    r2: float | None
    bias: float | None
    loa: tuple[float, float] | None
    auc: float | None
    sensitivity: float | None
    specificity: float | None
    source: str
    evidence: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Everything by its name."""
        return asdict(self)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _whole(cell: str) -> int | None:
    return int(cell) if cell else None


def _limits(low: str, high: str) -> tuple[float, float] | None:
    return (float(low), float(high)) if low and high else None


def _entry(row: dict[str, str]) -> PriorWork:
    return PriorWork(
        key=row["key"],
        study=row["study"],
        year=_whole(row["year"]),
        site=row["site"],
        participants=_whole(row["participants"]),
        method=row["method"],
        reference_method=row["reference_method"],
        mae=_number(row["mae"]),
        rmse=_number(row["rmse"]),
        r=_number(row["r"]),
        rho=_number(row["rho"]),
        r2=_number(row["r2"]),
        bias=_number(row["bias"]),
        loa=_limits(row["loa_low"], row["loa_high"]),
        auc=_number(row["auc"]),
        sensitivity=_number(row["sensitivity"]),
        specificity=_number(row["specificity"]),
        source=row["source"],
        evidence=row["evidence"],
        note=row["note"],
    )


@lru_cache(maxsize=1)
def prior_work() -> tuple[PriorWork, ...]:
    """Give all reported results: the reproduced paper's first, then by site, devices last."""
    import csv

    text = files("pallor.evaluation").joinpath("prior_work.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(_entry(row) for row in csv.DictReader(lines))


def reported(key: str) -> PriorWork:
    """Look up one reported result by its key.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    return {work.key: work for work in prior_work()}[key]
