from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallor.video.clip import Frame
from pallor.video.glance import LOOKS, off_the_line, shifts, straying
from pallor.video.measure import Box
from portrait import portrait

BOX = Box(40, 30, 200, 220)


def frames(ways: list[tuple[float, float]], gain: float = 1.0) -> list[Frame]:
    still = cv2.GaussianBlur(portrait(240), (0, 0), 2)
    made = []
    for i, (right, down) in enumerate(ways):
        shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
        moved = cv2.warpAffine(still, shift, (240, 240), flags=cv2.INTER_CUBIC, borderMode=1)
        bright = np.clip(moved * gain ** (i > 0), 0, 255).astype(np.uint8)
        made.append(Frame.from_rgb(bright, index=i, time_s=i / 30))
    return made


@settings(max_examples=25, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.9, 1.1), st.floats(-20, 20))
def test_a_small_translation_is_measured_whatever_the_light(right, down, gain, offset):
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.normal(0, 1, (60, 60)).astype(np.float32), (0, 0), 4) * 500
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(field, shift, (60, 60), flags=cv2.INTER_CUBIC)
    inner = (slice(14, 46), slice(14, 46))
    pair = np.stack([field[inner], moved[inner] * gain + offset])
    np.testing.assert_allclose(shifts(pair)[1], [right, down], atol=0.15)
    assert np.allclose(shifts(pair)[0], 0, atol=1e-6)


def test_a_blank_picture_tells_nothing():
    assert np.allclose(shifts(np.full((3, 8, 8), 7.0, np.float32)), 0)


def test_a_straight_way_does_not_stray():
    ways = [(0.4 * i, -0.2 * i) for i in range(16)]
    # One step of Lucas and Kanade is a tenth short of 6.7 pixels.
    assert straying(frames(ways), BOX) < 1.0


@pytest.mark.parametrize("gain", [1.0, 1.05])
def test_there_and_back_between_the_keyframes_is_seen(gain):
    ways = [(5 * np.sin(np.pi * i / 15), 0.0) for i in range(16)]
    assert straying(frames(ways, gain), BOX) == pytest.approx(5, abs=1.2)


def test_without_a_frame_between_nothing_strays():
    assert straying(frames([(0, 0), (30, 0)]), BOX) == 0.0
    assert LOOKS >= 3  # so that a swing of two periods is seen, too


def test_the_way_off_the_line_is_measured_in_every_frame():
    ways = [(0.1 * i + 2 * np.sin(np.pi * i / 15), -0.1 * i) for i in range(16)]
    off = off_the_line(frames(ways), BOX)
    expected = 2 * np.sin(np.pi * np.arange(16) / 15)
    # One step is up to a quarter off, which is still four times better than a straight line.
    np.testing.assert_allclose(off[:, 0], expected, atol=0.25 * 2)
    np.testing.assert_allclose(off[:, 1], 0, atol=0.35)
    assert off[0].tolist() == [0, 0] == off[-1].tolist()
    assert off_the_line(frames(ways[:2]), BOX).tolist() == [[0, 0], [0, 0]]


def test_noise_is_no_motion():
    rng = np.random.default_rng(0)
    still = portrait(240).astype(np.float32)
    noisy = [
        Frame.from_rgb(
            np.clip(still + rng.normal(0, 5, still.shape), 0, 255).astype(np.uint8), time_s=i / 30
        )
        for i in range(16)
    ]
    off = off_the_line(noisy, BOX)
    # Landmarks of single frames scatter by half a percent of the face, here half a pixel.
    assert off.std() < 0.05
