"""Code systems, codes and small elements of FHIR R4B that the resources are built of."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from pallor.service.shown_value import TENTH

Element = dict[str, Any]
"""A part of a resource, as JSON has it."""

FHIR_JSON: Final = "application/fhir+json"
"""Media type of a resource in JSON."""

_ARC: Final = "urn:oid:2.25.41605758839716532219993619198644137210"
LOCAL_CODES: Final = f"{_ARC}.1"
"""Code system of pallor's own codes. An arc below 2.25 belongs to whoever drew its UUID (ITU-T
X.667), so it claims no name of anyone's."""
MODEL_HASHES: Final = f"{_ARC}.2"
"""Identifiers of models: the first 16 hexadecimal digits of the estimator's SHA-256."""

UCUM: Final = "http://unitsofmeasure.org"
LOINC: Final = "http://loinc.org"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
OBSERVATION_CATEGORY: Final = f"{_HL7}/observation-category"
ABSENT_REASON: Final = f"{_HL7}/data-absent-reason"
INTERPRETATION: Final = f"{_HL7}/v3-ObservationInterpretation"
RANGE_MEANING: Final = f"{_HL7}/referencerange-meaning"
ACT_REASON: Final = f"{_HL7}/v3-ActReason"


def coding(system: str, code: str, display: str) -> Element:
    """Return a Coding."""
    return {"system": system, "code": code, "display": display}


def concept(text: str, *codings: Element) -> Element:
    """Return a CodeableConcept."""
    return {"coding": list(codings), "text": text} if codings else {"text": text}


def local(code: str, display: str) -> Element:
    """Return a CodeableConcept with a code of pallor's own."""
    return concept(display, coding(LOCAL_CODES, code, display))


def quantity(value: float, unit: str, code: str) -> Element:
    """Return a Quantity with a UCUM unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


def g_dl(value: float) -> Element:
    """Return a Quantity in g/dL."""
    return quantity(value, "g/dL", "g/dL")


def tenth_below(value: float) -> float:
    """Round down to a tenth; 12.3 stays 12.3 although its double lies beside it."""
    return float(Decimal(repr(float(value))).quantize(TENTH, ROUND_FLOOR))


def tenth_above(value: float) -> float:
    """Round up to a tenth; 12.3 stays 12.3 although its double lies beside it."""
    return float(Decimal(repr(float(value))).quantize(TENTH, ROUND_CEILING))


def as_string(text: object, otherwise: str) -> str:
    """Return text as FHIR's strings may be: not empty, one line, no control characters."""
    kept = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(kept.split()) or otherwise


def as_code(text: object, otherwise: str) -> str:
    """Return text as a code: letters, digits and single hyphens."""
    kept = "".join(c if c.isascii() and c.isalnum() else " " for c in str(text))
    return "-".join(kept.split()) or otherwise
