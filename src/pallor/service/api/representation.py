"""A job as JSON, and its result as FHIR."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pallor.service.disclaimers import disclaimers
from pallor.service.refusals import FailedError, NotAcceptableError, NotReadyError
from pallor.service.store.job import FAILED

if TYPE_CHECKING:
    from pallor.service.model_cards import LoadedModels
    from pallor.service.store.job import Job

FHIR = "application/fhir+json"
_JSON = frozenset({"application/json", "application/*", "*/*"})
_PERSON = ("sex", "age_years", "pregnancy", "altitude_m", "smoking")


def as_json(
    job: Job, models: LoadedModels, keep_results_s: float, position: int | None = None
) -> dict[str, Any]:
    """Return what ``GET /v1/estimates/{id}`` answers.

    Parameters
    ----------
    job
        In any state.
    models
        Tell whether the job's model is a simulated one before there is a result.
    keep_results_s
        How long it is kept once it is finished.
    position
        Jobs that wait before this one.
    """
    result = None if job.result is None else _without_path(job.result)
    simulated = _is_simulated(job, models)
    return {
        "id": job.id,
        "state": job.state,
        "stage": job.stage,
        "share": job.share,
        "position": position,
        "created_s": job.created_s,
        "finished_s": job.finished_s,
        "expires_s": None if job.finished_s is None else job.finished_s + keep_results_s,
        "simulated": simulated,
        "notice": list(disclaimers(bool(simulated))),
        "options": dict(job.options),
        "result": result,
        "code": job.code,
        "text": job.text,
    }


def as_fhir(job: Job) -> dict[str, Any]:
    """Return the Observation of a job that is done.

    Raises
    ------
    NotReadyError
        There is no result yet.
    FailedError
        There will be none; its text is that of the job.
    """
    from pallor.anemia import Person
    from pallor.service.fhir import observation

    if job.state == FAILED:
        raise FailedError(job.text or "the estimate failed")
    if job.result is None or job.finished_s is None:
        raise NotReadyError(
            "there is no result yet, so no Observation; ask for JSON to see how far it is",
            {"Retry-After": "1"},
        )
    person = Person(**{name: job.options.get(name) for name in _PERSON})
    return observation(
        _without_path(job.result),
        issued=datetime.fromtimestamp(job.finished_s, UTC),
        person=person,
    )


def wants_fhir(accept: str | None) -> bool:
    """Tell from the header ``Accept`` whether FHIR is preferred to JSON.

    Raises
    ------
    NotAcceptableError
        If it takes neither.
    """
    weights = dict(map(_weighted, (accept or "*/*").split(",")))
    fhir = weights.get(FHIR, 0.0)
    plain = max((weights.get(kind, 0.0) for kind in _JSON), default=0.0)
    if max(fhir, plain) <= 0:
        raise NotAcceptableError(f"there is application/json and {FHIR}")
    # Who names FHIR means it: a */* beside it is what clients add by themselves.
    named = weights.get("application/json", 0.0)
    return fhir > 0 and fhir >= named


def _weighted(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, float(value)
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def _is_simulated(job: Job, models: LoadedModels) -> bool | None:
    if job.result is not None:
        return bool(job.result.get("simulated"))
    card = models.cards.get(str(job.options.get("model")))
    return None if card is None else bool(card["simulated"])


def _without_path(result: Mapping[str, Any]) -> dict[str, Any]:
    # The estimate names the file that it was made of, whose name says where uploads lie.
    return {name: value for name, value in result.items() if name != "clip"}
