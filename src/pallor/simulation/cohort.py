"""A simulated cohort: clips, the table of labels, and the truth behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pallor.cohort.atomic import write_text
from pallor.errors import UsageError
from pallor.simulation.camera import Camera, log_balance_error
from pallor.simulation.encoding import STAMP, comment_of, write_clip
from pallor.simulation.face import Looks, draw_looks, head_motion, make_face
from pallor.simulation.physiology import Person, PulseTrain, draw_person, draw_pulse
from pallor.simulation.presets import PRESETS
from pallor.simulation.rendering import make_scene, render, tissue_volumes

VERSION = 1
"""Raised whenever the same settings give other clips."""

CAMERA_NAME = "gaussian-d65"
"""What the column ``camera`` says."""

EXPOSURE = 1.25
"""Median exposure: what a white surface in the light on the skin would reach, 1 clips."""

_PEOPLE, _SEXES = 0, 1  # first part of the random streams' keys


@dataclass(frozen=True)
class Settings:
    """What, together with a participant's number, determines a clip.

    Attributes
    ----------
    preset
        Name of a preset, see `presets.PRESETS`.
    seed
        Seed of the cohort.
    duration_s, fps, size
        Length, frame rate, and width = height in pixels of each clip.
    sex_cue
        Whether men look different from women.
    """

    preset: str = "easy"
    seed: int = 0
    duration_s: float = 10.0
    fps: float = 30.0
    size: int = 480
    sex_cue: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be rendered."""
        if self.preset not in PRESETS:
            raise UsageError(f"no preset {self.preset!r}; choose one of {', '.join(PRESETS)}")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed}: give a whole number, 0 or more")
        if not (np.isfinite(self.duration_s) and np.isfinite(self.fps) and self.fps > 0):
            raise UsageError("duration and frame rate must be finite, the frame rate above 0")
        if self.frames < 1:
            raise UsageError(
                f"duration {self.duration_s:g} s at {self.fps:g} frames/s is not one frame"
            )
        if self.size < 64 or self.size % 2:
            raise UsageError(f"size {self.size}: give an even number of pixels, 64 or more")

    @property
    def frames(self) -> int:
        """Number of frames of a clip."""
        return round(self.duration_s * self.fps)

    def comment(self, index: int) -> str:
        """Container comment of a participant's clip; tells simulations apart."""
        text = json.dumps({"version": VERSION, "index": index, **asdict(self)}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"by pallor, preset {self.preset}, seed {self.seed}, settings {digest}"


@dataclass(frozen=True)
class Draw:
    """All that is drawn for one participant.

    Attributes
    ----------
    person, looks, camera, pulse
        Body, face, camera settings and pulse.
    motion
        Head movement, ``(frames, 3)``.
    noise_seed
        Seed of the sensor noise.
    """

    person: Person
    looks: Looks
    camera: Camera
    pulse: PulseTrain
    motion: np.ndarray
    noise_seed: np.random.SeedSequence


def participant_name(index: int) -> str:
    """Return a participant's identifier: ``sim00000``, ``sim00001``, ..."""
    return f"sim{index:05d}"


def sex_of(seed: int, index: int) -> str:
    """Sex of a participant: one woman and one man in each pair, in random order."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SEXES, index // 2)))
    first = int(rng.integers(2))
    return ("female", "male")[(first + index) % 2]


def draw(settings: Settings, index: int) -> Draw:
    """Draw participant ``index``; the same whatever the size of the cohort.

    Each part has a random stream of its own, so that a change to one leaves the others.
    """
    root = np.random.SeedSequence(settings.seed, spawn_key=(_PEOPLE, index))
    streams = root.spawn(6)
    rngs = [np.random.default_rng(stream) for stream in streams[:5]]
    preset, sex = PRESETS[settings.preset], sex_of(settings.seed, index)
    person = draw_person(rngs[0], preset, sex, sex_cue=settings.sex_cue)
    looks = draw_looks(rngs[1], sex, sex_cue=settings.sex_cue)
    camera = Camera(
        white_balance_error=log_balance_error(rngs[2], preset.white_balance_error),
        exposure=float(EXPOSURE * np.exp(preset.exposure_sigma * rngs[2].standard_normal())),
    )
    times = np.arange(settings.frames) / settings.fps
    pulse = draw_pulse(rngs[3], person, times)
    motion = head_motion(rngs[4], times, preset.motion_px * settings.size / 480.0)
    return Draw(person, looks, camera, pulse, motion, streams[5])


def frames_of(settings: Settings, index: int) -> Iterator[np.ndarray]:
    """Render the frames of one participant, ``(size, size, 3)`` uint8 RGB each."""
    drawn = draw(settings, index)
    scene = make_scene(drawn.person, make_face(drawn.looks, settings.size), drawn.camera)
    volumes = tissue_volumes(drawn.person, drawn.pulse)
    return render(scene, volumes, drawn.motion, np.random.default_rng(drawn.noise_seed))


def truth_row(settings: Settings, index: int) -> dict[str, object]:
    """Return the parameters behind one clip, a row of ``truth.csv``."""
    drawn = draw(settings, index)
    person, camera = drawn.person, drawn.camera
    skin = person.tissues["skin"]
    red, _, blue = camera.white_balance_error
    return {
        "participant_id": participant_name(index),
        "clip": f"clips/{participant_name(index)}.mp4",
        "preset": settings.preset,
        "sex": person.sex,
        "age_years": person.age_years,
        "hemoglobin_g_dl": person.hemoglobin_g_dl,
        "rendered_hemoglobin_g_dl": person.rendered_hemoglobin_g_dl,
        "heart_rate_bpm": round(drawn.pulse.heart_rate_bpm, 3),
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
        "white_balance_red": red,
        "white_balance_blue": blue,
        "exposure": camera.exposure,
    }


def cohort_row(truth: dict[str, object]) -> dict[str, object]:
    """Return the row of ``cohort.csv`` that belongs to a row of ``truth.csv``."""
    known = ("participant_id", "clip", "hemoglobin_g_dl")
    return {
        **{name: truth[name] for name in known},
        "reference_method": "simulated",
        "sex": truth["sex"],
        "age_years": truth["age_years"],
        "session": "1",
        "camera": CAMERA_NAME,
        "site": "simulated",
        "simulated": "true",
    }


def _csv(rows: list[dict[str, object]]) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _render_one(path: Path, settings: Settings, index: int) -> None:
    write_clip(
        path,
        frames_of(settings, index),
        fps=settings.fps,
        size=settings.size,
        comment=settings.comment(index),
    )


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _render_all(
    jobs: list[tuple[Path, int]], settings: Settings, workers: int, report: Callable[[str], None]
) -> None:
    if workers == 1 or len(jobs) < 2:
        for path, index in jobs:
            _render_one(path, settings, index)
            report(path.name)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_one_thread,
    ) as pool:
        futures = {pool.submit(_render_one, path, settings, i): path for path, i in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                report(futures[future].name)
        except BaseException:  # an interrupt, too, ends the work that waits; it goes on upward
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _pending(folder: Path, settings: Settings, numbers: range) -> list[tuple[Path, int]]:
    """Clips that are not there yet; refuse a folder that holds another simulation's."""
    jobs = []
    for index in numbers:
        path = folder / f"{participant_name(index)}.mp4"
        if not path.exists():
            jobs.append((path, index))
        elif comment_of(path) != f"{STAMP} {settings.comment(index)}":
            raise UsageError(
                f"{path} was not made with these settings: choose another folder, or delete it"
            )
    return jobs


def simulate_cohort(
    out: Path,
    *,
    preset: str = "easy",
    participants: int = 24,
    first: int = 0,
    seed: int = 0,
    duration_s: float = 10.0,
    fps: float = 30.0,
    size: int = 480,
    workers: int = 1,
    sex_cue: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Render a cohort of faces with known hemoglobin.

    Writes ``cohort.csv``, ``truth.csv`` (the parameters behind each clip) and
    ``clips/*.mp4``. The same arguments give the same bytes. A participant is the same
    whatever the number of participants, and clips that are there are not rendered again:
    call again with more participants and the cohort grows.

    Parameters
    ----------
    out
        Folder to write to.
    preset
        ``easy``, ``paper``, ``realistic`` or ``null``; see `presets.PRESETS`.
    participants
        How many people, one clip each.
    first
        Number of the first participant, so that people outside a cohort can be drawn.
    seed
        Seed; another seed is another cohort.
    duration_s, fps, size
        Seconds, frames per second, and width = height in pixels (even) of each clip.
    workers
        Processes.
    sex_cue
        Whether men look different from women (more melanin and blood, stubble, rougher
        skin, longer face).
    progress
        Called with ``(done, total, name of the clip)`` as clips are finished.

    Returns
    -------
    Path
        ``out / "cohort.csv"``.

    Raises
    ------
    UsageError
        If an argument makes no sense, or ``out`` holds clips of another simulation.
    OSError
        If ``out`` is not writable.
    """
    settings = Settings(preset, seed, duration_s, fps, size, sex_cue)
    if participants < 1 or first < 0 or workers < 1:
        raise UsageError("give at least 1 participant, 1 worker, and a first number of 0 or more")
    out = Path(out)
    numbers = range(first, first + participants)
    jobs = _pending(out / "clips", settings, numbers)
    done = participants - len(jobs)

    def report(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, participants, name)

    _render_all(jobs, settings, workers, report)
    out.mkdir(parents=True, exist_ok=True)
    truth = [truth_row(settings, index) for index in numbers]
    write_text(out / "truth.csv", _csv(truth))
    # Last: a cohort table means that every clip it names is there.
    table = out / "cohort.csv"
    write_text(table, _csv([cohort_row(row) for row in truth]))
    return table
