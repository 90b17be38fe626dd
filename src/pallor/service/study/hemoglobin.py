"""Blood values of a visit, often entered later: enter, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pallor.service.study import clip_files
from pallor.service.study.access import (
    participant_of,
    participant_row,
    row_of_session,
    session_row,
)
from pallor.service.study.fields import HemoglobinFields
from pallor.service.study.records import Participant

if TYPE_CHECKING:
    from pallor.service.study.study import Study


def add(
    study: Study, code: str, session_name: str, values: Mapping[str, Any], who: str
) -> Participant:
    """Enter a blood value.

    Parameters
    ----------
    study
        Open.
    code, session_name
        Of the participant and the visit.
    values
        As `HemoglobinFields` takes them.
    who
        For the audit log.

    Raises
    ------
    UnknownError
        If there is no such participant or visit.
    InvalidFieldsError
        With every problem.
    """
    from pallor.service.store.tables import HemoglobinRow

    fields = HemoglobinFields.from_dict(values)
    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        visit = session_row(session, person.id, session_name)
        person.changed_s = study.clock()
        row = HemoglobinRow(session_id=visit.id, created_s=person.changed_s, **vars(fields))
        session.add(row)
        session.flush()
        what = f"participant {person.id} hemoglobin {row.id}"
        study.audit.add(who, "hemoglobin.add", what, session=session)
        return participant_of(session, person)


def change(
    study: Study,
    code: str,
    session_name: str,
    value_id: int,
    values: Mapping[str, Any],
    who: str,
) -> Participant:
    """Replace a blood value by another.

    Parameters
    ----------
    study
        Open.
    code, session_name, value_id
        Of the participant, the visit and the value.
    values
        As `HemoglobinFields` takes them; what is absent stays.
    who
        For the audit log.

    Raises
    ------
    UnknownError
        If there is no such participant, visit or value.
    InvalidFieldsError
        With every problem.
    """
    from pallor.service.store.tables import HemoglobinRow

    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        visit = session_row(session, person.id, session_name)
        row = row_of_session(session, HemoglobinRow, value_id, visit.id)
        entered = {name: getattr(row, name) for name in ("value", "unit", "method", "measured_on")}
        # The value and its unit say something together only: both are looked at again.
        for name, value in vars(HemoglobinFields.from_dict({**entered, **values})).items():
            setattr(row, name, value)
        person.changed_s = study.clock()
        what = f"participant {person.id} hemoglobin {row.id}"
        study.audit.add(who, "hemoglobin.change", what, session=session)
        return participant_of(session, person)


def delete(study: Study, code: str, session_name: str, value_id: int, who: str) -> Participant:
    """Delete a blood value.

    Raises
    ------
    UnknownError
        If there is no such participant, visit or value.
    """
    from pallor.service.store.tables import HemoglobinRow

    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        visit = session_row(session, person.id, session_name)
        row = row_of_session(session, HemoglobinRow, value_id, visit.id)
        session.delete(row)
        person.changed_s = study.clock()
        what = f"participant {person.id} hemoglobin {row.id}"
        study.audit.add(who, "hemoglobin.delete", what, session=session)
        found = participant_of(session, person)
    clip_files.fold(study)
    return found
