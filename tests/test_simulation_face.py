from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pallor.errors import FaceModelError
from pallor.simulation.draw import draw, draw_subject, frames_of
from pallor.simulation.face import Looks, draw_looks, make_face
from pallor.simulation.motion import head_motion, light_drift
from pallor.simulation.optics import reflectance
from pallor.simulation.physiology import TISSUE_NAMES
from pallor.simulation.portrait import portrait
from pallor.simulation.rendering import (
    albedo,
    exposure_gain,
    make_scene,
    pulse_response,
    tissue_volumes,
)
from pallor.simulation.settings import Settings
from pallor.simulation.sheet import contact_sheet
from pallor.simulation.transfer import decode_srgb

SIZE = 240


def test_masks_are_shares() -> None:
    masks = portrait().masks
    total = sum(masks[name] for name in TISSUE_NAMES)
    assert total.max() <= 1.001
    assert min(mask.min() for mask in masks.values()) >= 0
    assert all(masks[name].max() > 0.95 for name in TISSUE_NAMES)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("preset", ["paper", "realistic"])
def test_frames_have_the_colors_of_the_optics(preset: str, index: int) -> None:
    """Mean of each region of the 8-bit frames, before compression, within 2 %."""
    drawn = draw(Settings(preset, seed=2, duration_s=0.1), index)
    person, camera = drawn.subject.person, drawn.subject.camera
    still = replace(drawn, motion=np.zeros_like(drawn.motion), light=np.ones_like(drawn.light))
    frames = np.stack(list(frames_of(still, 480)))
    face = make_face(drawn.subject.looks, 480)
    hb = person.rendered_hemoglobin_g_dl
    volume = {name: v.mean() for name, v in tissue_volumes(person, drawn.pulse).items()}
    colors = {
        name: camera.balanced_color(reflectance(tissue, hb, volume_pulse=volume[name]))
        for name, tissue in person.tissues.items()
    }
    matrix = exposure_gain(person, camera) * camera.transform()
    light = face.paint(colors)  # the sclera is so small that no pixel has nothing else
    compared = 0
    for name, mask in ((name, face.masks[name]) for name in TISSUE_NAMES):
        inside = mask > 0.97 * mask.max()
        codes = frames[:, inside]
        # A channel that is over full scale clips, and below 0 it is black: a camera's, not
        # the optics' doing.
        good = (codes.max(axis=(0, 1)) < 255) & (codes.min(axis=(0, 1)) > 4)
        seen = decode_srgb(codes / 255.0).mean(axis=(0, 1))
        expected = matrix @ light[inside].mean(axis=0, dtype=np.float64)
        assert seen[good] == pytest.approx(expected[good], rel=0.02), name
        compared += int(good.sum())
    assert compared >= 8


def test_skin_and_lips_are_nothing_but_skin_and_lips() -> None:
    """Where a tissue is pure, a pixel is light times the color of the optics."""
    subject = draw_subject(Settings("paper", seed=2), 0)
    face = make_face(subject.looks, 480)
    colors = albedo(subject.person, subject.camera)
    picture = face.paint(colors)
    for name in ("skin", "lips"):
        inside = face.masks[name] > 0.99
        light = face.shading[name][inside].mean(axis=0, dtype=np.float64)
        assert inside.sum() > 100
        seen = picture[inside].mean(axis=0, dtype=np.float64)
        assert seen == pytest.approx(light * colors[name], rel=0.02)


def test_mean_light_on_a_tissue_is_its_shade() -> None:
    face = make_face(draw_subject(Settings("paper", seed=2), 0).looks, SIZE)
    for name, shade in (("skin", 1.0), ("lips", 1.0), ("lower_lids", 0.9), ("sclera", 0.42)):
        whole = face.masks[name][..., None]
        mean = (face.shading[name] * whole).sum(axis=(0, 1)) / whole.sum()
        assert mean == pytest.approx([shade] * 3, rel=1e-4)


def test_pulse_of_the_picture_is_that_of_the_optics() -> None:
    subject = draw_subject(Settings("easy", seed=2), 1)
    face = make_face(subject.looks, SIZE)
    scene = make_scene(subject.person, face, subject.camera)
    inside = face.masks["skin"] > 0.999
    seen = scene.responses["skin"][inside].mean(axis=0) / scene.still[inside].mean(axis=0)
    matrix = subject.camera.transform()
    rest = albedo(subject.person, subject.camera)["skin"]
    change = rest * pulse_response(subject.person, subject.camera)["skin"]
    assert seen == pytest.approx((matrix @ change) / (matrix @ rest), rel=0.01)
    assert np.all(seen < 0)


@pytest.mark.parametrize("volume", [-0.02, 0.01, 0.03])
def test_the_pulse_is_linear_enough(volume: float) -> None:
    """A pulse as large as they come, rendered from its slope, against the optics."""
    subject = draw_subject(Settings("easy", seed=2), 1)
    person, camera = subject.person, subject.camera
    for name, slope in pulse_response(person, camera).items():
        spectrum = reflectance(
            person.tissues[name], person.rendered_hemoglobin_g_dl, volume_pulse=volume
        )
        exact = camera.balanced_color(spectrum) / albedo(person, camera)[name] - 1
        assert slope * volume == pytest.approx(exact, rel=0.04)


def test_no_two_people_have_one_face() -> None:
    faces = [make_face(draw_subject(Settings(seed=0), index).looks, SIZE) for index in range(3)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(faces[a].masks["skin"] - faces[b].masks["skin"]).mean() > 0.005


def test_sex_shows_in_looks_only_with_the_cue() -> None:
    def looks(sex: str, cue: bool) -> Looks:
        return draw_looks(np.random.default_rng(4), sex, sex_cue=cue)

    assert looks("male", True).stubble > 0 == looks("female", True).stubble
    assert looks("male", True).texture > looks("female", True).texture
    for name in ("stubble", "texture", "stretch"):
        assert getattr(looks("male", False), name) == getattr(looks("female", False), name)


def test_motion_is_small_and_smooth() -> None:
    time_s = np.arange(900) / 30
    paths = np.stack([head_motion(np.random.default_rng(k), time_s, 1.0) for k in range(40)])
    assert 0.5 < np.sqrt((paths[..., :2] ** 2).mean()) < 1.5
    assert np.abs(np.diff(paths[..., :2], axis=1)).max() < 0.6


def test_a_head_turns_quickly_when_asked_to() -> None:
    time_s = np.arange(900) / 30
    calm = head_motion(np.random.default_rng(2), time_s, 1.0)
    turning = head_motion(np.random.default_rng(2), time_s, 1.0, turns_per_minute=12.0)
    speed = [np.abs(np.diff(path[:, 0])).max() for path in (calm, turning)]
    assert speed[1] > 1.5 * speed[0]
    assert np.ptp(turning[:, 0]) > np.ptp(calm[:, 0]) + 2


def test_light_drifts_slowly_by_what_was_asked() -> None:
    time_s = np.arange(900) / 30
    paths = np.stack([light_drift(np.random.default_rng(k), time_s, 0.01) for k in range(200)])
    assert np.log(paths).std() == pytest.approx(0.01, rel=0.15)
    assert np.abs(np.diff(np.log(paths), axis=1)).max() < 0.001
    assert np.all(light_drift(np.random.default_rng(0), time_s, 0.0) == 1.0)


@pytest.mark.parametrize(("seed", "preset"), [(0, "easy"), (1, "realistic")])
def test_a_face_is_found_with_landmarks_where_it_was_drawn(seed: int, preset: str) -> None:
    landmarker = pytest.importorskip("pallor.video.face").FaceLandmarker
    try:
        network = landmarker()
    except FaceModelError as error:
        pytest.skip(error.text)
    settings = Settings(preset, seed=seed, duration_s=0.1)
    for index in range(4):
        frame = next(frames_of(draw(settings, index), settings.size))
        found = network.detect(frame)
        assert len(found) == 1
        points = network.landmarks(frame, found[0])
        assert points is not None
        # The forehead's points lie on skin, not in the hair.
        mask = make_face(draw_subject(settings, index).looks, settings.size).masks["skin"]
        for point in (151, 9, 108, 337, 50, 280, 199):
            x, y = np.rint(points.points[point]).astype(int)
            assert mask[y, x] > 0.9


def test_contact_sheet_says_simulated(tmp_path: Path) -> None:
    from PIL import Image

    path = contact_sheet(
        tmp_path / "sheet.png", melanin=[0.03, 0.2], hemoglobin_g_dl=[7.0, 16.0], size=96
    )
    with Image.open(path) as image:
        assert image.size == (192, 192)
        assert image.info["comment"].startswith("SIMULATED")
