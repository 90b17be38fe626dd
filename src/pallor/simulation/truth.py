"""What is known of a simulated clip: rows of ``truth.parquet`` and of the cohort table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pallor.cohort.atomic import write_bytes
from pallor.simulation.draw import draw
from pallor.simulation.encoding import STAMP
from pallor.simulation.settings import Settings

TRUTH_FILE = "truth.parquet"
"""Name of the table of true parameters in the folder of a cohort."""


def participant_name(index: int) -> str:
    """Return a participant's identifier: ``sim00000``, ``sim00001``, ..."""
    return f"sim{index:05d}"


def clip_name(index: int, session: int) -> str:
    """Path of a clip in its cohort's folder; the first session's has no suffix."""
    suffix = f"-{session + 1}" if session else ""
    return f"clips/{participant_name(index)}{suffix}.mp4"


def truth_row(settings: Settings, index: int, session: int = 0) -> dict[str, object]:
    """Return all that is known of one clip.

    Returns
    -------
    dict
        Names carry their units. ``blood_*`` are blood volume fractions, ``white_balance_*``
        natural logarithms of a gain error, ``heart_rate_bpm`` the mean over the clip.
        ``time_s`` and ``pulse_volume`` hold one number a frame: when it was taken, and the
        blood that the pulse added, as a fraction of the resting volume.
    """
    drawn = draw(settings, index, session)
    person, camera, pulse = drawn.subject.person, drawn.subject.camera, drawn.pulse
    skin = person.tissues["skin"]
    red, _, blue = camera.white_balance_error
    return {
        "participant_id": participant_name(index),
        "session": str(session + 1),
        "clip": clip_name(index, session),
        "preset": settings.preset,
        "sex": person.sex,
        "age_years": person.age_years,
        "hemoglobin_g_dl": person.hemoglobin_g_dl,
        "rendered_hemoglobin_g_dl": person.rendered_hemoglobin_g_dl,
        "heart_rate_bpm": round(pulse.heart_rate_bpm, 3),
        "heart_rate_sd": person.heart_rate_sd,
        "respiration_hz": person.respiration_hz,
        "volume_pulse": person.volume_pulse,
        "notch": person.notch,
        "melanin": skin.melanin,
        **{f"blood_{name}": tissue.blood for name, tissue in person.tissues.items()},
        "saturation": skin.saturation,
        "arterial_saturation": skin.arterial_saturation,
        "vessel_radius_um": skin.vessel_radius_um,
        "epidermis_cm": skin.epidermis_cm,
        "scattering": skin.scattering,
        "sensor": camera.sensor,
        "light": camera.light,
        "white_balance_red": red,
        "white_balance_blue": blue,
        "exposure": camera.exposure,
        "time_s": pulse.time_s.tolist(),
        "pulse_volume": pulse.volume.tolist(),
    }


def cohort_row(truth: Mapping[str, object]) -> dict[str, object]:
    """Return the row of ``cohort.csv`` that belongs to a row of the truth."""
    known = ("participant_id", "clip", "hemoglobin_g_dl")
    return {
        **{name: truth[name] for name in known},
        "reference_method": "simulated",
        "sex": truth["sex"],
        "age_years": truth["age_years"],
        "session": truth["session"],
        "camera": truth["sensor"],
        "site": "simulated",
        "simulated": "true",
    }


def write_truth(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of `truth_row` as Parquet, stamped, in one step; equal rows, equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([dict(row) for row in rows])
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"comment": f"{STAMP} by pallor"}), sink)
    write_bytes(path, sink.getvalue().to_pybytes())
