"""A person before a camera: the frames of a clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.camera import Camera
from pallor.simulation.face import Face
from pallor.simulation.optics import reflectance
from pallor.simulation.physiology import Person
from pallor.simulation.portrait import Image
from pallor.simulation.pulse import PulseTrain, pulse_shape
from pallor.simulation.transfer import CODE_STEPS, code_table

DELAY_S: Mapping[str, float] = {"skin": 0.0, "lips": 0.015, "lower_lids": 0.005, "sclera": 0.0}
"""Arrival of the pulse wave after that in the skin of the face, seconds."""

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of linear R, G, B in luminance (ITU-R BT.709)."""

TARGET_BRIGHTNESS = 0.25
"""Luminance of skin on which automatic exposure changes nothing."""

PULSE_PROBE = 0.01
"""Volume pulse at which the color response is computed; it is linear for a few percent."""


def albedo(person: Person, camera: Camera) -> dict[str, NDArray[np.float64]]:
    """Linear, well-balanced sRGB of each of a person's tissues at rest, ``(3,)`` each."""
    hb = person.rendered_hemoglobin_g_dl
    return {n: camera.balanced_color(reflectance(t, hb)) for n, t in person.tissues.items()}


def pulse_response(person: Person, camera: Camera) -> dict[str, NDArray[np.float64]]:
    """Relative change of R, G, B of each tissue per unit of volume pulse, ``(3,)`` each.

    Negative: more blood is darker.
    """
    hb = person.rendered_hemoglobin_g_dl
    response = {}
    for name, tissue in person.tissues.items():
        rest, full = camera.balanced_color(reflectance(tissue, hb, volume_pulse=[0.0, PULSE_PROBE]))
        response[name] = (full / rest - 1.0) / PULSE_PROBE
    return response


def exposure_gain(person: Person, camera: Camera) -> float:
    """Say what automatic exposure does on a face before a wall: a quarter of the way."""
    brightness = float(albedo(person, camera)["skin"] @ LUMA)
    return float((TARGET_BRIGHTNESS / brightness) ** 0.25)


@dataclass(frozen=True)
class Scene:
    """Everything that is fixed during a clip.

    Attributes
    ----------
    still
        Linear sensor values of the resting face, ``(size, size, 3)`` float32.
    responses
        For each tissue the change of ``still`` per unit of volume pulse.
    noise_sigma
        Standard deviation of the sensor noise, as ``still``.
    head
        How much of the head's movement a pixel takes part in, ``(size, size)``, 0..1.
    """

    still: Image
    responses: Mapping[str, Image]
    noise_sigma: Image
    head: Image


def make_scene(person: Person, face: Face, camera: Camera) -> Scene:
    """Color a face, light it, and look at it through a camera."""
    colors = albedo(person, camera)
    matrix = camera.transform() * exposure_gain(person, camera)
    still = (face.paint(colors) @ matrix.T.astype(np.float32)).astype(np.float32)
    responses = {}
    for name, change in pulse_response(person, camera).items():
        weight = face.masks[name][..., None] * face.shading[name]
        response = (weight * (colors[name] * change)) @ matrix.T
        responses[name] = response.astype(np.float32)
    size = still.shape[0]
    unit = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    radius = np.hypot(unit[None, :], unit[:, None])
    inside = np.clip((1.0 - radius) / 0.4, 0.0, 1.0)
    head = (inside * inside * (3.0 - 2.0 * inside)).astype(np.float32)
    return Scene(still, responses, camera.noise_sigma(still), head)


def tissue_volumes(person: Person, pulse: PulseTrain) -> dict[str, NDArray[np.float64]]:
    """Volume pulse of each tissue over time, ``(frames,)`` each: the pulse, delayed."""
    plain = pulse_shape(pulse.phase, person.notch)
    late = {
        name: pulse_shape(pulse.phase - delay * person.heart_rate_bpm / 60.0, person.notch)
        for name, delay in DELAY_S.items()
    }
    return {name: pulse.volume + person.volume_pulse * (late[name] - plain) for name in late}


def render(
    scene: Scene,
    volumes: Mapping[str, NDArray[np.float64]],
    motion: NDArray[np.float64],
    rng: np.random.Generator,
    gains: NDArray[np.float64] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Render the frames of a clip.

    Parameters
    ----------
    scene
        What is in the picture.
    volumes
        Volume pulse of each tissue, ``(frames,)`` each.
    motion
        Head movement, ``(frames, 3)``, see `motion.head_motion`.
    rng
        Random generator of the noise.
    gains
        Light in each frame, ``(frames,)``, see `motion.light_drift`; 1 by default.

    Yields
    ------
    numpy.ndarray
        ``(size, size, 3)`` uint8 gamma-encoded RGB.
    """
    import cv2

    size = scene.still.shape[0]
    full = np.float32(CODE_STEPS - 1)
    still, sigma = scene.still * full, scene.noise_sigma * full
    patches = [_patch(name, response * full) for name, response in scene.responses.items()]
    grid_y, grid_x = np.mgrid[:size, :size].astype(np.float32)
    arm_x, arm_y = scene.head * (grid_x - size / 2), scene.head * (grid_y - size / 2)
    # Fresh noise for every pixel of every frame costs as much as all the rest; a window
    # into a four times larger field, elsewhere in each frame, does the same.
    field = rng.standard_normal((2 * size, 2 * size, 3), dtype=np.float32)
    table = code_table()
    light = np.ones(len(motion)) if gains is None else gains
    for index in range(len(motion)):
        linear = still.copy()
        for name, place, response in patches:
            part = linear[place]
            part += np.float32(volumes[name][index]) * response
        dx, dy, tilt = (np.float32(v) for v in motion[index])
        map_x = grid_x + (tilt * arm_y - dx * scene.head)
        map_y = grid_y - (tilt * arm_x + dy * scene.head)
        moved = cv2.remap(linear, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        top, left = rng.integers(0, size, 2)
        noise = cv2.multiply(field[top : top + size, left : left + size], sigma)
        # 16-bit addition rounds and saturates: what is over full scale clips.
        sensed = cv2.addWeighted(moved, float(light[index]), noise, 1.0, 0.0, dtype=cv2.CV_16U)
        codes = np.asarray(sensed, np.uint16)
        yield np.take(table, codes)


def _patch(name: str, response: Image) -> tuple[str, tuple[slice, slice], Image]:
    """Cut a response down to the rectangle where it is not zero."""
    there = np.abs(response).max(axis=2) > 0
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if not rows.size:
        return name, (slice(0, 0), slice(0, 0)), response[:0, :0]
    place = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return name, place, np.ascontiguousarray(response[place])
