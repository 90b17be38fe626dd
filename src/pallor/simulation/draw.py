"""All that is drawn for one clip, each part from a random stream of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.camera import Camera, log_balance_error
from pallor.simulation.face import Looks, draw_looks, make_face
from pallor.simulation.motion import head_motion, light_drift
from pallor.simulation.physiology import Person, draw_constitution, person_in_session
from pallor.simulation.pulse import PulseTrain, draw_pulse
from pallor.simulation.rendering import make_scene, render, tissue_volumes
from pallor.simulation.settings import Settings

EXPOSURE = 1.25
"""Median exposure: what a white surface in the light on the skin would reach, 1 clips."""

MOST_JITTER = 0.4
"""How far a frame may be taken from its turn, in frame intervals."""

_PEOPLE, _SEXES, _SESSIONS = 0, 1, 2  # first part of the random streams' keys


@dataclass(frozen=True)
class Subject:
    """Who sits before which camera: all that decides the true colors of a clip.

    Attributes
    ----------
    person, looks, camera
        Body in this session, face, camera and light.
    """

    person: Person
    looks: Looks
    camera: Camera


@dataclass(frozen=True)
class Draw:
    """All that is drawn for one clip.

    Attributes
    ----------
    subject
        Who, before which camera.
    pulse
        Pulse at the times of the frames.
    motion
        Head movement, ``(frames, 3)``.
    light
        Light in each frame against the mean, ``(frames,)``.
    noise_seed
        Seed of the sensor noise.
    """

    subject: Subject
    pulse: PulseTrain
    motion: NDArray[np.float64]
    light: NDArray[np.float64]
    noise_seed: np.random.SeedSequence


def sex_of(seed: int, index: int) -> str:
    """Sex of a participant: one woman and one man in each pair, in random order."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SEXES, index // 2)))
    first = int(rng.integers(2))
    return ("female", "male")[(first + index) % 2]


def _streams(key: tuple[int, ...], seed: int, number: int) -> list[np.random.SeedSequence]:
    return np.random.SeedSequence(seed, spawn_key=key).spawn(number)


def draw_subject(settings: Settings, index: int, session: int = 0) -> Subject:
    """Draw a participant's body, face and camera in a session, without the clip itself."""
    preset, sex = settings.spread, sex_of(settings.seed, index)
    lasting = [np.random.default_rng(s) for s in _streams((_PEOPLE, index), settings.seed, 3)]
    key = (_SESSIONS, index, session)
    passing = [np.random.default_rng(s) for s in _streams(key, settings.seed, 2)]
    constitution = draw_constitution(lasting[0], preset, sex, sex_cue=settings.sex_cue)
    looks = draw_looks(lasting[1], sex, sex_cue=settings.sex_cue)
    person = person_in_session(constitution, preset, lasting[2], passing[0], session)
    rng = passing[1]
    error = log_balance_error(rng, preset.white_balance_error)
    exposure = float(EXPOSURE * np.exp(preset.exposure_sigma * rng.standard_normal()))
    light = preset.lights[int(rng.random() * len(preset.lights))]
    camera = Camera(constitution.sensor, light, error, exposure)
    return Subject(person, looks, camera)


def draw(settings: Settings, index: int, session: int = 0) -> Draw:
    """Draw a clip: the same however many participants and sessions there are.

    Each part has a random stream of its own, so that a change to one leaves the others.
    """
    subject, preset = draw_subject(settings, index, session), settings.spread
    key = (_SESSIONS, index, session)
    streams = _streams(key, settings.seed, 7)[2:]  # two more are `draw_subject`'s
    rngs = [np.random.default_rng(stream) for stream in streams[:4]]
    late = preset.timing_jitter * rngs[0].standard_normal(settings.frames)
    late = np.clip(late, -MOST_JITTER, MOST_JITTER)
    times = (np.arange(settings.frames) + late - late[0]) / settings.fps
    pixels = preset.motion_px * settings.size / 480.0
    return Draw(
        subject=subject,
        pulse=draw_pulse(rngs[1], subject.person, times),
        motion=head_motion(rngs[2], times, pixels, preset.turns_per_minute),
        light=light_drift(rngs[3], times, preset.light_drift),
        noise_seed=streams[4],
    )


def frames_of(drawn: Draw, size: int) -> Iterator[NDArray[np.uint8]]:
    """Render the frames of a clip, ``(size, size, 3)`` uint8 RGB each."""
    person = drawn.subject.person
    scene = make_scene(person, make_face(drawn.subject.looks, size), drawn.subject.camera)
    volumes = tissue_volumes(person, drawn.pulse)
    rng = np.random.default_rng(drawn.noise_seed)
    return render(scene, volumes, drawn.motion, rng, drawn.light)
