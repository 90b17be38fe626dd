"""MCD-rPPG: facial videos of 600 people at rest and after exercise, on three cameras.

Published as ``kyegorov/mcd_rppg`` under CC BY 4.0: ``db.csv`` with one row a video, and the
videos beside it. Hemoglobin was read from a capillary strip, one value a person.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pallor.cohort.reader_sheets import first_few, read_sheet
from pallor.cohort.table import Cohort, cohort_from_frame
from pallor.errors import CohortError

if TYPE_CHECKING:
    import pandas as pd

SHEET = "db.csv"

DAMAGED_PATIENTS = frozenset({"4952"})
"""Patients all of whose videos are damaged as published."""

DAMAGED_CLIPS = frozenset({"6066_USBVideo_before"})
"""Single videos that are damaged as published."""

# The data set's description once called the column glucose. Mean hemoglobin of adults is
# known well enough to tell: outside these ranges, g/dL, or without the difference between
# the sexes, the column is something else.
_MEAN_RANGE = {"male": (13.0, 16.5), "female": (12.0, 15.0)}
_MIN_FOR_MEAN = 10


def read_mcd_rppg(root: Path) -> Cohort:
    """Read MCD-rPPG as published.

    Parameters
    ----------
    root
        Folder with ``db.csv`` and ``video/``.

    Returns
    -------
    Cohort
        One row a video of ``db.csv``, without the known damaged ones; rows whose video is
        absent stay, are counted and named in the notes. ``session`` is the step (before or
        after exercise), ``reference_method`` is ``capillary_poc``.

    Raises
    ------
    CohortError
        If the layout is another one, or the hemoglobin column is no hemoglobin: the mean of
        men outside 13 to 16.5 g/dL, of women outside 12 to 15, or men not above women.
    """
    import pandas as pd

    path = root / SHEET
    needed = ("patient_id", "bmi", "age", "sex", "hemoglobin", "step", "camera", "video")
    sheet = read_sheet(path, needed)
    stems = [PurePosixPath(video).stem for video in sheet["video"]]
    damaged = [
        patient in DAMAGED_PATIENTS or stem in DAMAGED_CLIPS
        for patient, stem in zip(sheet["patient_id"], stems, strict=True)
    ]
    kept = sheet[[not bad for bad in damaged]]
    if kept.empty:
        raise CohortError(f"{path}: every video is known to be damaged")
    frame = pd.DataFrame(
        {
            "participant_id": kept["patient_id"],
            "clip": kept["video"],
            "hemoglobin_g_dl": kept["hemoglobin"],
            "reference_method": "capillary_poc",
            "sex": kept["sex"],
            "age_years": kept["age"],
            "session": kept["step"],
            "camera": kept["camera"],
            "bmi": kept["bmi"],
        }
    )
    cohort = cohort_from_frame(frame, root, str(path))
    notes = _check_hemoglobin(cohort.frame, path)
    left_out = [stem for stem, bad in zip(stems, damaged, strict=True) if bad]
    if left_out:
        notes.append(
            f"{len(left_out)} videos are known to be damaged and were left out: "
            f"{first_few(left_out)}"
        )
    absent = [
        clip
        for clip, file in zip(cohort.frame["clip"], cohort.clip_paths(), strict=True)
        if not file.is_file()
    ]
    if absent:
        notes.append(f"{len(absent)} of {len(cohort)} videos are absent: {first_few(absent)}")
    return Cohort(cohort.frame, root, [*notes, *cohort.notes])


def _check_hemoglobin(frame: pd.DataFrame, path: Path) -> list[str]:
    """Refuse a column that is no hemoglobin; return a note where that cannot be told."""
    people = frame.drop_duplicates("participant_id").dropna(subset=["hemoglobin_g_dl", "sex"])
    spread = frame.groupby("participant_id")["hemoglobin_g_dl"].nunique()
    several = spread[spread > 1].index.tolist()
    if several:
        raise CohortError(
            f"{path}: hemoglobin is one value a patient in this data set, but differs within "
            f"{len(several)}: {first_few([str(name) for name in several])}"
        )
    means = {}
    for sex, (low, high) in _MEAN_RANGE.items():
        values = people.loc[people["sex"] == sex, "hemoglobin_g_dl"]
        if len(values) < _MIN_FOR_MEAN:
            continue
        means[sex] = float(values.mean())
        if not low <= means[sex] <= high:
            raise CohortError(
                f"{path}: the mean hemoglobin of the {sex} patients is {means[sex]:.1f} g/dL, "
                f"expected {low:g} to {high:g}: the column seems to hold something else"
            )
    if len(means) < len(_MEAN_RANGE):
        return [
            f"fewer than {_MIN_FOR_MEAN} patients of a sex: whether the hemoglobin column is "
            "plausible could not be checked"
        ]
    if means["male"] <= means["female"]:
        raise CohortError(
            f"{path}: mean hemoglobin of men ({means['male']:.1f} g/dL) is not above that of "
            f"women ({means['female']:.1f}): the column seems to hold something else"
        )
    return []
