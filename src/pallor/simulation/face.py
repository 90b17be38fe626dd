"""One person's face: a warp of the portrait, its tissues in that person's colors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.physiology import TISSUE_NAMES
from pallor.simulation.portrait import (
    CROP_ORIGIN,
    CROP_SIZE,
    FACE_CENTER,
    ZOOM,
    Image,
    portrait,
)

FRAME_WIDTH = 203.0
"""Width of a rendered frame in pixels of the portrait; the face takes 45 % of it."""

SHADE: Mapping[str, float] = {"skin": 1.0, "lips": 1.0, "lower_lids": 0.9, "sclera": 0.42}
"""Mean light on each tissue against that on the skin: lids and lashes shade the eye."""


TEETH = (1.25, 1.17, 1.0)
"""R, G, B of the mouth against the portrait's brightness there."""

CHROMA_LEFT = 0.5
"""Exponent on the color differences within a tissue of the portrait."""


@dataclass(frozen=True)
class Looks:
    """What makes one face look unlike another, apart from the color of its tissues.

    Attributes
    ----------
    scale, stretch
        Size and height-to-width ratio against the portrait, about 1.
    rotation_deg
        Tilt of the head.
    shift
        x, y displacement in units of the frame's width.
    bumps
        ``(2, 5, 5)`` smooth displacements in units of the frame's width.
    hair
        R, G, B factor on the hair.
    background
        R, G, B factor on everything that is neither tissue nor hair.
    texture
        Standard deviation of the mottling of the skin, relative.
    stubble
        Darkening of the lower face, 0 for none.
    highlights
        Exponent on the portrait's shading: below 1 is softer light.
    texture_seed
        Seed of the mottling.
    """

    scale: float = 1.0
    stretch: float = 1.0
    rotation_deg: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    bumps: NDArray[np.float64] | None = None
    hair: tuple[float, float, float] = (1.0, 1.0, 1.0)
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    texture: float = 0.0
    stubble: float = 0.0
    highlights: float = 1.0
    texture_seed: int = 0


def draw_looks(rng: np.random.Generator, sex: str, *, sex_cue: bool = True) -> Looks:
    """Draw the looks of one person.

    Parameters
    ----------
    rng
        Random generator.
    sex
        ``female`` or ``male``.
    sex_cue
        Whether men have a rougher skin, stubble and a longer face.
    """
    z = rng.standard_normal(8)
    bumps = 0.006 * rng.standard_normal((2, 5, 5))
    bumps[:, [0, -1], :] = 0.0
    bumps[:, :, [0, -1]] = 0.0
    gray, brown = np.exp(rng.uniform(np.log(0.12), np.log(0.9))), rng.uniform(0.0, 1.0)
    hair = gray * np.array([1.0, 0.97 - 0.10 * brown, 0.95 - 0.20 * brown])
    background = rng.uniform(0.35, 0.65) * np.exp(0.06 * rng.standard_normal(3))
    seed, stubble, roughness = int(rng.integers(2**31)), rng.uniform(0.10, 0.28), rng.uniform(0, 1)
    man = sex_cue and sex == "male"
    return Looks(
        scale=float(1.0 + 0.03 * np.clip(z[0], -2, 2)),
        stretch=float((1.05 if man else 1.0) * (1.0 + 0.03 * np.clip(z[1], -2, 2))),
        rotation_deg=float(2.0 * np.clip(z[2], -2, 2)),
        shift=(float(0.015 * np.clip(z[3], -2, 2)), float(0.012 * np.clip(z[4], -2, 2))),
        bumps=bumps,
        hair=(float(hair[0]), float(hair[1]), float(hair[2])),
        background=(float(background[0]), float(background[1]), float(background[2])),
        texture=float(0.02 + 0.02 * roughness + (0.015 if man else 0.0)),
        stubble=float(stubble) if man else 0.0,
        highlights=float(np.clip(0.85 + 0.08 * z[5], 0.65, 1.05)),
        texture_seed=seed,
    )


@dataclass(frozen=True)
class Face:
    """A face without color: what the light does, and where which tissue is.

    Attributes
    ----------
    shading
        For each tissue light times shape, ``(size, size, 3)`` float32; its mean over the
        tissue (weighted by the mask) is the tissue's entry of `SHADE` in every channel.
    masks
        For each tissue its share of a pixel, ``(size, size)`` float32, 0..1.
    rest
        Linear light of all that is not tissue, ``(size, size, 3)``, already weighted by
        what the masks leave of a pixel.
    """

    shading: Mapping[str, Image]
    masks: Mapping[str, Image]
    rest: Image

    def paint(self, albedo: Mapping[str, NDArray[np.floating]]) -> Image:
        """Give the tissues their colors.

        Parameters
        ----------
        albedo
            Linear white-balanced R, G, B of each tissue, ``(3,)``.

        Returns
        -------
        numpy.ndarray
            ``(size, size, 3)`` float32, linear light under unit illumination.
        """
        image = self.rest.copy()
        for name in TISSUE_NAMES:
            color = np.asarray(albedo[name], np.float32)
            image += self.masks[name][..., None] * self.shading[name] * color
        return image


def _maps(looks: Looks, size: int) -> tuple[Image, Image]:
    """Canvas coordinates of each pixel of the frame, two ``(size, size)`` maps."""
    import cv2

    unit = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(unit, unit)
    if looks.bumps is not None:
        fields = [cv2.resize(b, (size, size), interpolation=cv2.INTER_CUBIC) for b in looks.bumps]
        x, y = x + fields[0], y + fields[1]
    x, y = x - looks.shift[0], y - looks.shift[1]
    angle = np.deg2rad(looks.rotation_deg)
    x, y = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    reach = FRAME_WIDTH / looks.scale
    column = FACE_CENTER[0] - CROP_ORIGIN[0] + reach * x * np.sqrt(looks.stretch)
    row = FACE_CENTER[1] - CROP_ORIGIN[1] + reach * y / np.sqrt(looks.stretch)
    return (column * ZOOM).astype(np.float32), (row * ZOOM).astype(np.float32)


def _mottling(looks: Looks, size: int) -> Image:
    """Multiplicative skin texture around 1: blotches, pores; no color of its own."""
    import cv2

    rng = np.random.default_rng(looks.texture_seed)
    texture = np.zeros((size, size))
    for sigma, weight in ((size / 24, 0.6), (size / 90, 0.5), (size / 320, 0.6)):
        layer = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), sigma)
        texture += weight * layer / layer.std()
    return np.exp(looks.texture * texture).astype(np.float32)


def make_face(looks: Looks, size: int) -> Face:
    """Warp the portrait into one person's face.

    Parameters
    ----------
    looks
        What the face looks like.
    size
        Width and height of the frame in pixels.
    """
    import cv2

    base = portrait()
    column, row = _maps(looks, size)

    def warp(image: Image) -> Image:
        # An average over the canvas pixels below each frame pixel where it shrinks.
        sigma = 0.4 * max(CROP_SIZE * ZOOM / size * FRAME_WIDTH / CROP_SIZE - 1.0, 0.0)
        smooth = cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.05 else image
        warped = cv2.remap(smooth, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(warped, np.float32)

    picture = np.clip(warp(base.linear), 1e-4, 1.0)
    masks = {name: np.clip(warp(mask), 0.0, 1.0) for name, mask in base.masks.items()}
    mottled = _mottling(looks, size)
    grain = mottled * (1.0 - looks.stubble * masks["beard"])
    shading: dict[str, Image] = {}
    for name in TISSUE_NAMES:
        weight = masks[name][..., None].astype(np.float64)
        light = picture if name == "sclera" else picture * grain[..., None]
        # Half of the portrait's own color differences (blush, yellowish neck) remain.
        gray = light.mean(axis=2, keepdims=True, dtype=np.float64)
        light = gray**looks.highlights * (light / gray) ** CHROMA_LEFT
        mean = (light * weight).sum(axis=(0, 1)) / weight.sum()
        shading[name] = (SHADE[name] * light / mean).astype(np.float32)
    left = 1.0 - np.clip(sum(masks[name] for name in TISSUE_NAMES), 0.0, 1.0)
    hair = masks["hair"][..., None]
    tint = hair * np.asarray(looks.hair) + (1.0 - hair) * np.asarray(looks.background)
    # Irises are neither hair nor background: they keep the portrait's own color, shaded.
    inside = np.clip(cv2.GaussianBlur(masks["skin"], (0, 0), size / 40) * 1.6 - 0.6, 0, 1)
    tint = 0.7 * inside[..., None] + (1.0 - inside[..., None]) * tint
    mouth = masks["mouth"][..., None]
    teeth = picture.mean(axis=2, keepdims=True) * np.array(TEETH)
    rest = (((1.0 - mouth) * picture * tint + mouth * teeth) * left[..., None]).astype(np.float32)
    return Face(shading, {name: masks[name] for name in TISSUE_NAMES}, rest)
