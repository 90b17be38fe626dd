"""An estimate as a FHIR Observation (R4B, https://hl7.org/fhir/R4B/observation.html).

An estimate from a camera must never pose as a laboratory value: the status is preliminary, the
category is not laboratory, the code is pallor's own, method and device say what measured, and
the notes say what it is worth. LOINC has no code for hemoglobin from a camera (718-7 is a blood
count, 55782-7 a co-oximeter on blood, 76768-1 mixed venous blood, 20509-6 a calculation).
"""

from __future__ import annotations

import html
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pallor.anemia import Person, Unknown
from pallor.errors import OutsideModelError, UsageError
from pallor.service.coverage import judges
from pallor.service.disclaimers import disclaimers
from pallor.service.fhir_codes import (
    ABSENT_REASON,
    ACT_REASON,
    FHIR_JSON,
    LOCAL_CODES,
    LOINC,
    MODEL_HASHES,
    OBSERVATION_CATEGORY,
    Element,
    as_code,
    as_string,
    coding,
    concept,
    g_dl,
    local,
    quantity,
    tenth_above,
    tenth_below,
)
from pallor.service.fhir_ranges import interpretation, reference_ranges
from pallor.service.shown_value import shown_g_dl

__all__ = ["FHIR_JSON", "FhirOptions", "bundle", "observation"]

_CODE: Final = coding(
    LOCAL_CODES, "estimated-hemoglobin-facial-video", "Estimated hemoglobin, facial video"
)
_CODE_STILL: Final = coding(
    LOCAL_CODES, "estimated-hemoglobin-still", "Estimated hemoglobin, still image"
)
_LABORATORY: Final = coding(LOINC, "718-7", "Hemoglobin [Mass/volume] in Blood")
_REFERENCE: Final = re.compile(r"(https?://|urn:uuid:|urn:oid:).+|([A-Za-z]+/[A-Za-z0-9.\-]{1,64})")
_DEVICE: Final = "device"
_OUTSIDE: Final = OutsideModelError.code
_LARGEST: Final = 1e6

MAX_HEMOGLOBIN_G_DL: Final = 35.0
"""Red cells themselves hold about as much: blood that has more there is not."""


@dataclass(frozen=True)
class FhirOptions:
    """What a site may choose about its resources.

    Attributes
    ----------
    laboratory_translation
        Whether LOINC 718-7, the code of a blood count, stands beside the local code as a
        translation. Off: a receiver that looks for the code alone would take the estimate for a
        laboratory value.
    """

    laboratory_translation: bool = False


def observation(
    result: Mapping[str, Any],
    *,
    issued: datetime,
    subject: str | None = None,
    person: Person | None = None,
    effective: datetime | None = None,
    derived_from: str | None = None,
    options: FhirOptions | None = None,
) -> dict[str, Any]:
    """Return the Observation of an estimate.

    Parameters
    ----------
    result
        What :meth:`pallor.models.prediction.Estimate.as_dict` returns, or the result of a job.
    issued
        When the estimate was made, with a time zone.
    subject
        Whose estimate it is: a reference such as ``Patient/12``, or an identifier, such as the
        code of a participant.
    person
        Sex, age and so on, for the WHO groups; without them there are no reference ranges.
    effective
        When the clip was recorded, where known, with a time zone.
    derived_from
        Reference to a DocumentReference or Media of the clip, where the site keeps one. Pixels
        of a face are never part of the resource.
    options
        What the site chose.

    Returns
    -------
    dict
        The resource as JSON has it, validated by ``fhir.resources`` in the tests.

    Raises
    ------
    UsageError
        If a time has no time zone, ``derived_from`` is no reference, or ``subject`` is empty.
    """
    choice = FhirOptions() if options is None else options
    simulated = bool(result.get("simulated"))
    ranges = reference_ranges(Person() if person is None else person)
    value = _shown(_hemoglobin(result), ranges)
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "meta": _meta(simulated),
        "contained": [_device(result)],
        "status": "preliminary",
        "category": [
            concept("Procedure", coding(OBSERVATION_CATEGORY, "procedure", "Procedure")),
        ],
        "code": _code(result, choice),
        "issued": _instant(issued),
        "method": _method(result),
        "device": {"reference": f"#{_DEVICE}"},
    }
    if subject is not None:
        resource["subject"] = _subject(subject)
    if effective is not None:
        resource["effectiveDateTime"] = _instant(effective)
    if derived_from is not None:
        if not _REFERENCE.fullmatch(derived_from):
            raise UsageError(
                f"derived_from is {derived_from!r}: give a reference such as DocumentReference/12"
            )
        resource["derivedFrom"] = [{"reference": derived_from}]
    if value is None:
        resource["dataAbsentReason"] = _absent(result)
    else:
        resource["valueQuantity"] = g_dl(value)
        resource.update(_interpretation(result, ranges))
    if not isinstance(ranges, Unknown):
        resource["referenceRange"] = ranges
    resource["component"] = _components(result, value)
    resource["note"] = [{"text": text} for text in _notes(result, simulated, ranges)]
    resource["text"] = _narrative(result, value, resource["note"])
    return resource


def bundle(observations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a collection of resources, each under an address that its content decides.

    Parameters
    ----------
    observations
        Resources, such as `observation` returns. Equal ones are named once.
    """
    entries: dict[str, Mapping[str, Any]] = {}
    for resource in observations:
        text = json.dumps(resource, sort_keys=True)
        entries[f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}"] = resource
    whole: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    tags = [resource["meta"] for resource in entries.values() if "security" in resource["meta"]]
    if tags:
        whole["meta"] = tags[0]
    if entries:
        whole["entry"] = [
            {"fullUrl": address, "resource": resource} for address, resource in entries.items()
        ]
    return whole


def _number(value: object) -> float | None:
    """Return a finite number of a size that a measure can have, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= _LARGEST else None  # NaN compares as False


def _hemoglobin(result: Mapping[str, Any]) -> float | None:
    """Return the estimate; None where there is none, or none that blood can have."""
    value = _number(result.get("hemoglobin_g_dl")) if result.get("usable") else None
    return value if value is not None and 0 < value < MAX_HEMOGLOBIN_G_DL else None


def _shown(value: float | None, ranges: list[Element] | Unknown) -> float | None:
    if value is None:
        return None
    known = [] if isinstance(ranges, Unknown) else ranges
    return float(shown_g_dl(value, [e["low"]["value"] for e in known if "low" in e]))


def _instant(time: datetime) -> str:
    if time.tzinfo is None or time.utcoffset() is None:
        raise UsageError(f"the time {time.isoformat()} has no time zone: give one with it")
    return time.isoformat(timespec="seconds")


def _meta(simulated: bool) -> Element:
    research = coding(LOCAL_CODES, "research-use-only", "Research use only")
    if not simulated:
        return {"tag": [research]}
    return {
        "security": [coding(ACT_REASON, "HTEST", "test health data")],
        "tag": [coding(LOCAL_CODES, "simulated", "SIMULATED"), research],
    }


def _is_still(result: Mapping[str, Any]) -> bool:
    return result.get("input_kind") not in (None, "face_video")


def _code(result: Mapping[str, Any], options: FhirOptions) -> Element:
    own = _CODE_STILL if _is_still(result) else _CODE
    if not options.laboratory_translation:
        return concept(own["display"], own)
    return concept(
        own["display"], {**own, "userSelected": True}, {**_LABORATORY, "userSelected": False}
    )


def _method(result: Mapping[str, Any]) -> Element:
    if _is_still(result):
        return local(
            "still-image-model", "Estimate of a statistical model from the colors of a still image"
        )
    return local(
        "facial-video-model",
        "Estimate of a statistical model from the skin's color and pulse in a facial video",
    )


def _device(result: Mapping[str, Any]) -> Element:
    from pallor._version import __version__

    model = as_string(result.get("model") or "", "unknown")
    card = result.get("model_card")
    name = card.get("name") if isinstance(card, Mapping) else None
    return {
        "resourceType": "Device",
        "id": _DEVICE,
        "identifier": [{"system": MODEL_HASHES, "value": model}],
        "deviceName": [
            {"name": "pallor", "type": "user-friendly-name"},
            {"name": as_string(name or "", f"model {model}"), "type": "model-name"},
        ],
        "type": local("research-software", "Research software, not a medical device"),
        "version": [
            {"type": local("software-version", "Software version"), "value": __version__},
            {
                "type": local("model-sha256-16", "First 16 digits of the model's SHA-256"),
                "value": model,
            },
        ],
    }


def _subject(subject: str) -> Element:
    if _REFERENCE.fullmatch(subject):
        return {"reference": subject}
    value = as_string(subject, "")
    if not value:
        raise UsageError("the subject is empty: give a reference or an identifier, or none")
    return {"identifier": {"value": value}}


def _absent(result: Mapping[str, Any]) -> Element:
    reasons = _said(result, "reasons")
    codes = {code for code, _ in reasons}
    if codes == {_OUTSIDE}:
        standard = coding(ABSENT_REASON, "unsupported", "Unsupported")
    else:
        standard = coding(ABSENT_REASON, "error", "Error")
    own = [coding(LOCAL_CODES, as_code(code, "error"), text) for code, text in reasons]
    text = " ".join(text for _, text in reasons)
    return concept(text or "The clip gave no estimate.", standard, *own)


def _interval(result: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the interval rounded outward, so that what is shown holds what was computed."""
    low, high = (_number(result.get(f"interval_{end}_g_dl")) for end in ("low", "high"))
    if low is None or high is None or low > high:
        return None
    return tenth_below(low), tenth_above(high)


def _interpretation(result: Mapping[str, Any], ranges: list[Element] | Unknown) -> Element:
    interval = _interval(result)
    if interval is None or isinstance(ranges, Unknown):
        return {}
    if not judges(_number(result.get("coverage"))):
        return {}
    # By what is shown: a reader must not find a limit inside the interval and a flag beside it.
    flag = interpretation(*interval, ranges)
    return {} if flag is None else {"interpretation": [flag]}


def _components(result: Mapping[str, Any], value: float | None) -> list[Element]:
    interval = _interval(result) if value is not None else None
    coverage = _number(result.get("coverage"))
    share = "" if coverage is None else f" of the {100 * coverage:g} % prediction interval"
    components: list[Element] = []
    for place, end in enumerate(("low", "high")):
        content: Element = (
            {"valueQuantity": g_dl(interval[place])}
            if interval is not None
            else {"dataAbsentReason": _not_there("not-applicable", "Not Applicable")}
        )
        components.append(
            {"code": local(f"interval-{end}", f"{end.capitalize()} end{share}"), **content}
        )
    if interval is not None and coverage is not None:
        components.append(
            {
                "code": local("interval-coverage", "Coverage of the prediction interval"),
                "valueQuantity": quantity(_plain(100 * coverage), "%", "%"),
            }
        )
    components.append(
        {"code": local("abstained", "No estimate was given"), "valueBoolean": value is None}
    )
    components.append({"code": local("quality", "Quality of the clip"), **_quality(result)})
    for key, code, display, factor, unit, ucum in _MEASURES:
        measured = _number(result.get(key))
        if measured is not None:
            components.append(
                {
                    "code": local(code, display),
                    "valueQuantity": quantity(_plain(factor * measured), unit, ucum),
                }
            )
    return components


def _quality(result: Mapping[str, Any]) -> Element:
    """Say whether the clip served, which it may although there is no estimate."""
    quality = result.get("quality")
    if result.get("usable"):
        usable = True
    elif isinstance(quality, Mapping):
        usable = bool(quality.get("usable"))
    elif {code for code, _ in _said(result, "reasons")} == {_OUTSIDE}:
        # A heart rate is given only of a clip that is good for it; its absence tells less.
        if _number(result.get("heart_rate_bpm")) is None:
            return {"dataAbsentReason": _not_there("unknown", "Unknown")}
        usable = True
    else:
        usable = False
    return {
        "valueCodeableConcept": local("usable", "Usable")
        if usable
        else local("not-usable", "Not usable")
    }


_MEASURES: Final = (
    ("heart_rate_bpm", "heart-rate", "Heart rate in the video", 1.0, "beats/minute", "/min"),
    ("snr_db", "pulse-snr", "Signal-to-noise ratio of the pulse", 1.0, "dB", "dB"),
    ("face_coverage", "face-coverage", "Share of the clip with a face", 100.0, "%", "%"),
    ("duration_s", "duration", "Length of the clip", 1.0, "s", "s"),
)


def _plain(value: float) -> float:
    return round(value, 2)


def _not_there(code: str, display: str) -> Element:
    return concept(display, coding(ABSENT_REASON, code, display))


def _said(result: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    """Return code and text of reasons or warnings, without the name of the file.

    A file is often named after a patient, and where it lies is nobody's business.
    """
    from pallor.video.clip_info import shown_name

    clip = result.get("clip")
    name = shown_name(clip) if isinstance(clip, str) else ""
    said = []
    for entry in result.get(key) or ():
        text = str(entry.get("text", ""))
        if name:
            text = text.removeprefix(f"{name}: ").replace(name, "the clip")
        code = as_string(entry.get("code", ""), "error")
        said.append((code, as_string(text, code)))
    return said


def _notes(
    result: Mapping[str, Any], simulated: bool, ranges: list[Element] | Unknown
) -> list[str]:
    notes = [*disclaimers(simulated)]
    notes += [
        # Who lies outside the model may have recorded a good clip.
        f"{'No estimate' if code == _OUTSIDE else 'Not usable'}: {text}"
        for code, text in _said(result, "reasons")
    ]
    notes += [f"Warning: {text}" for _, text in _said(result, "warnings")]
    if isinstance(ranges, Unknown):
        notes.append(f"No WHO reference range: {ranges.text}.")
    return notes


def _narrative(
    result: Mapping[str, Any], value: float | None, notes: Sequence[Mapping[str, str]]
) -> Element:
    """Return the resource in words: some receivers show nothing else."""
    if value is None:
        first = "No estimate of the hemoglobin."
    else:
        first = f"Estimated hemoglobin (camera, not a laboratory value): {value} g/dL"
        interval = _interval(result)
        if interval is not None:
            first += f", interval {interval[0]} to {interval[1]} g/dL"
        first += "."
    texts = [first, *(note["text"] for note in notes)]
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in texts)
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>',
    }
