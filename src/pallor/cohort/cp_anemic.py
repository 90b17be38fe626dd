"""CP-AnemiC: conjunctiva crops of Ghanaian children (Mendeley Data, doi 10.17632/m53vz6b7fx).

The images are stills whose alpha channel marks the palpebral conjunctiva. As published, many
images are byte-identical copies under different labels: see `pallor.cohort.duplicates`.
"""

from __future__ import annotations

from pathlib import Path

from pallor.cohort.reader_sheets import first_few, read_sheet
from pallor.cohort.table import Cohort, cohort_from_frame
from pallor.errors import CohortError

SHEET = "Anemia_Data_Collection_Sheet.csv"
FOLDERS = ("Anemic", "Non-anemic")

_MONTHS_A_YEAR = 12


def read_cp_anemic(root: Path) -> Cohort:
    """Read CP-AnemiC as published.

    Parameters
    ----------
    root
        Folder with ``Anemic/``, ``Non-anemic/`` and ``Anemia_Data_Collection_Sheet.csv``.

    Returns
    -------
    Cohort
        One row a sheet row that has its image. ``participant_id`` is the image's name, since
        the sheet names no children; the hospital is the ``site``; age comes in months and
        is given in years. Notes name rows without image, images without row, and images
        whose folder contradicts the sheet's remark.

    Raises
    ------
    CohortError
        If the layout is another one, or no image belongs to any row.
    """
    import pandas as pd

    sheet = read_sheet(
        root / SHEET,
        ("IMAGE_ID", "HB_LEVEL", "Severity", "Age(Months)", "GENDER", "REMARK", "HOSPITAL"),
    )
    images = _images(root)
    rows, absent, contradicting = [], [], []
    for record in sheet.to_dict("records"):
        name = str(record["IMAGE_ID"])
        found = images.get(name)
        if found is None:
            absent.append(name)
            continue
        if _anemic(found) != (record["REMARK"].lower() == "anemic") or _anemic(found) == (
            record["Severity"].lower() == "non-anemic"
        ):
            contradicting.append(name)
        rows.append(
            {
                "participant_id": name,
                "clip": found,
                "hemoglobin_g_dl": record["HB_LEVEL"],
                "sex": record["GENDER"],
                "age_years": _years(record["Age(Months)"]),
                "site": record["HOSPITAL"],
            }
        )
    if not rows:
        raise CohortError(f"{root}: no image in {' or '.join(FOLDERS)} belongs to a row of {SHEET}")
    orphans = sorted(set(images) - set(sheet["IMAGE_ID"]))
    notes = [
        f"{len(names)} {what}: {first_few(names)}"
        for names, what in (
            (absent, "rows of the sheet have no image and were left out"),
            (orphans, "images are not in the sheet and were left out"),
            (contradicting, "images lie in a folder that contradicts Severity or REMARK"),
        )
        if names
    ]
    return cohort_from_frame(pd.DataFrame(rows), root, str(root / SHEET), notes)


def _images(root: Path) -> dict[str, str]:
    """Return image name to path relative to the root."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        if not (root / folder).is_dir():
            raise CohortError(f"{root}: the folder {folder} is absent; this is not CP-AnemiC")
        for path in sorted((root / folder).iterdir()):
            if path.suffix.lower() != ".png" or path.name.startswith("."):
                continue
            name, relative = path.stem.strip(), path.relative_to(root).as_posix()
            if name in found:
                raise CohortError(f"{root}: {name} is there twice: {found[name]} and {relative}")
            found[name] = relative
    return found


def _anemic(clip: str) -> bool:
    return clip.startswith(f"{FOLDERS[0]}/")


def _years(months: str) -> object:
    try:
        return float(months) / _MONTHS_A_YEAR
    except ValueError:
        return months  # refused with its row by the validation
