"""What comes with a clip: who the person is, which model, which coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pallor.cohort.table_columns import RANGES
from pallor.service.coverage import LEAST, LEAST_TO_JUDGE
from pallor.service.jobs.options import EstimateOptions
from pallor.service.refusals import NoModelError

if TYPE_CHECKING:
    from pallor.service.model_cards import LoadedModels

FIELDS: dict[str, dict[str, Any]] = {
    "model": {"type": "string", "maxLength": 200, "description": "Id or name of a loaded model."},
    "sex": {"type": "string", "enum": ["female", "male"]},
    "age_years": {
        "type": "number",
        "minimum": RANGES["age_years"].low,
        "maximum": RANGES["age_years"].high,
    },
    "pregnancy": {
        "type": "string",
        "maxLength": 200,
        "description": "no, yes, first trimester, second trimester, third trimester.",
    },
    "altitude_m": {
        "type": "number",
        "minimum": RANGES["altitude_m"].low,
        "maximum": RANGES["altitude_m"].high,
        "description": "Of residence.",
    },
    "smoking": {
        "type": "string",
        "maxLength": 200,
        "description": "no, yes, or cigarettes a day such as 12/day.",
    },
    "coverage": {
        "type": "number",
        "minimum": LEAST,
        "exclusiveMaximum": 1,
        "description": "Of the interval; the model's own by default. Below "
        f"{LEAST_TO_JUDGE} the WHO groups of its ends are not told: no severity_at_low and "
        "severity_at_high, in FHIR no interpretation.",
    },
}
"""The fields for the OpenAPI description; they are checked by `EstimateOptions`."""


def read_options(fields: Mapping[str, str], models: LoadedModels) -> dict[str, Any]:
    """Return the options of a job.

    Parameters
    ----------
    fields
        Of the form; what was left empty is not among them.
    models
        One of which is meant.

    Raises
    ------
    InvalidFieldsError
        A field is unknown or its value makes no sense.
    NoModelError
        No model is loaded, or not the one that is asked for.
    """
    options = EstimateOptions.from_dict(fields)
    if models.default is None:
        raise NoModelError("no model is loaded: start the service with --model FILE")
    model = models.default if options.model is None else models.find(options.model)
    if model is None:
        raise NoModelError("no such model is loaded; GET /v1/models lists them")
    return options.as_dict() | {"model": model}
