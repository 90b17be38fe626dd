from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pallor.errors import FaceModelError
from pallor.simulation.camera import Camera
from pallor.simulation.cohort import Settings, draw, frames_of
from pallor.simulation.face import Looks, draw_looks, head_motion, make_face
from pallor.simulation.portrait import TISSUES, portrait
from pallor.simulation.rendering import albedo, make_scene, pulse_response
from pallor.simulation.sheet import contact_sheet

SIZE = 240


def test_masks_are_shares() -> None:
    masks = portrait().masks
    total = sum(masks[name] for name in TISSUES)
    assert total.max() <= 1.001
    assert min(mask.min() for mask in masks.values()) >= 0
    assert all(masks[name].max() > 0.95 for name in TISSUES)


@pytest.mark.parametrize("index", range(4))
def test_rendered_color_is_the_color_of_the_optics(index: int) -> None:
    drawn = draw(Settings("paper", seed=2), index)
    face = make_face(drawn.looks, SIZE)
    plain = Camera(exposure=0.5)  # nothing clips
    scene = make_scene(drawn.person, face, plain)
    colors = albedo(drawn.person)
    gain = 0.5 * (0.25 / float(colors["skin"] @ [0.2126, 0.7152, 0.0722])) ** 0.25
    for name, shade in (("skin", 1.0), ("lips", 1.0)):
        weight = face.masks[name] * (face.masks[name] > 0.98)
        light = (face.shading[name] * weight[..., None]).sum(axis=(0, 1)) / weight.sum()
        seen = (scene.still * weight[..., None]).sum(axis=(0, 1)) / weight.sum()
        assert seen / light == pytest.approx(gain * colors[name], rel=0.02)
        whole = face.masks[name][..., None]
        mean = (face.shading[name] * whole).sum(axis=(0, 1)) / whole.sum()
        assert mean == pytest.approx([shade] * 3, rel=1e-4)


def test_pulse_of_the_picture_is_that_of_the_optics() -> None:
    drawn = draw(Settings(seed=2), 1)
    face = make_face(drawn.looks, SIZE)
    scene = make_scene(drawn.person, face, Camera())
    inside = face.masks["skin"] > 0.999
    seen = scene.responses["skin"][inside].mean(axis=0) / scene.still[inside].mean(axis=0)
    assert seen == pytest.approx(pulse_response(drawn.person)["skin"], rel=0.01)
    assert np.all(seen < 0)


def test_no_two_people_have_one_face() -> None:
    faces = [make_face(draw(Settings(seed=0), index).looks, SIZE) for index in range(3)]
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


@pytest.mark.parametrize(("seed", "preset"), [(0, "easy"), (1, "realistic")])
def test_a_face_is_found_with_landmarks_where_it_was_drawn(seed: int, preset: str) -> None:
    landmarker = pytest.importorskip("pallor.video.face").FaceLandmarker
    try:
        network = landmarker()
    except FaceModelError as error:
        pytest.skip(error.text)
    settings = Settings(preset, seed=seed, duration_s=0.1)
    for index in range(4):
        frame = next(frames_of(settings, index))
        found = network.detect(frame)
        assert len(found) == 1
        points = network.landmarks(frame, found[0])
        assert points is not None
        # The forehead's points lie on skin, not in the hair.
        mask = make_face(draw(settings, index).looks, settings.size).masks["skin"]
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
