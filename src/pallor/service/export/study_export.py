"""A study as an export: its clips, the cohort table, all blood values, and who is missing."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pallor.service.export.contents import ExportContents, ExportEnd, ExportFile, Tally
from pallor.service.export.readme import readme
from pallor.service.study.cohort_rows import CohortRow, ReferenceValue, StudyTable, export_rows

if TYPE_CHECKING:
    from pallor.service.study.study import Study

COHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "participant_id": "participant",
        "clip": "file_name",
        "session": "session",
        "camera": "camera",
        "site": "site",
        "hemoglobin_g_dl": "hemoglobin_g_dl",
        "reference_method": "reference_method",
        "hemoglobin_days_apart": "hemoglobin_days_apart",
        "sex": "sex",
        "age_years": "age_years",
        "pregnancy": "pregnancy",
        "altitude_m": "altitude_m",
        "smoking": "smoking",
        "simulated": "simulated",
        "usable": "usable",
    }
)
"""Column of ``cohort.csv`` to field of `CohortRow`."""

VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "participant_id": "participant",
        "session": "session",
        "hemoglobin_g_dl": "hemoglobin_g_dl",
        "value": "value",
        "unit": "unit",
        "reference_method": "reference_method",
        "days_apart": "days_apart",
        "chosen": "chosen",
    }
)
"""Column of ``hemoglobin_values.csv`` to field of `ReferenceValue`."""


def export_of(study: Study) -> ExportContents:
    """Return a study as an export.

    The table is read again when the clips are written: who has withdrawn by then is in no table,
    and whose clip was gone is missing by name.

    Parameters
    ----------
    study
        Open.
    """
    names = {row.token: row.file_name for row in export_rows(study).rows}

    def end(written: Collection[str]) -> ExportEnd:
        table = export_rows(study)
        there = set(written)
        # A clip that came meanwhile is not part of it.
        planned = [
            replace(row, file_name=names[row.token]) for row in table.rows if row.token in names
        ]
        rows = [row for row in planned if row.file_name in there]
        tally = tally_of(table, planned, rows)
        texts = {
            "cohort.csv": cohort_csv(rows),
            "hemoglobin_values.csv": _csv(VALUES, table.values),
            "README.txt": readme(tally),
        }
        return ExportEnd(texts, tally)

    files = tuple(ExportFile(name, study.clips.path(token)) for token, name in names.items())
    return ExportContents(files, end)


def cohort_csv(rows: Iterable[CohortRow]) -> bytes:
    """Return clips as a cohort table that ``pallor extract`` reads."""
    return _csv(COHORT, rows)


def tally_of(
    table: StudyTable, planned: Sequence[CohortRow], written: Sequence[CohortRow]
) -> Tally:
    """Count who is in an export.

    Parameters
    ----------
    table
        The whole study.
    planned, written
        Of the clips that were to be written, and of those that were.
    """
    exported = dict.fromkeys(row.participant for row in written)
    with_clip = {row.participant for row in planned}
    no_consent = set(table.without_consent)
    everybody = dict.fromkeys((*(row.participant for row in table.rows), *table.without_clip))
    missing = [code for code in everybody if code not in exported]
    no_clip = [code for code in missing if code not in with_clip]
    return Tally(
        exported=tuple(exported),
        without_clip=tuple(code for code in no_clip if code not in no_consent),
        without_consent=tuple(code for code in no_clip if code in no_consent),
        gone=tuple(code for code in missing if code in with_clip),
        clips=len(written),
        clips_gone=len(planned) - len(written),
        simulated=sum(row.simulated for row in written),
    )


def _csv(columns: Mapping[str, str], rows: Iterable[CohortRow | ReferenceValue]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(getattr(row, field)) for field in columns.values()] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    # Ten digits: more than any laboratory gives, and no 13.200000000000001.
    return f"{value:.10g}" if isinstance(value, float) else str(value)
