"""What is measured between keyframes equals what is measured in every frame by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallor.video.clip import Frame
from pallor.video.face import Landmarks
from pallor.video.face_path import FacePath
from pallor.video.frame import reduced_stack
from pallor.video.measure import NAMES, face_box, measure_face, sum_regions
from pallor.video.regions import anchors, label_map, valid_mask, valid_reference_mask
from pallor.video.tracking import (
    KEYFRAME_INTERVAL_S,
    MAX_MOVE,
    MIN_KEYFRAME_INTERVAL_S,
    Keyframe,
    interpolate,
    is_far,
    next_interval_s,
    strays_far,
    way,
)
from test_regions import FACE

REFERENCES = [NAMES.index("sclera") + 1]


def face(x: float = 0, y: float = 0, size: float = 150, turn: float = 0.0) -> Landmarks:
    shape = FACE / np.ptp(FACE[:, 1]) - 0.5
    cosine, sine = np.cos(turn), np.sin(turn)
    points = shape @ np.array([[cosine, sine], [-sine, cosine]]) * size
    return Landmarks((points + np.array([160 + x, 120 + y])).astype(np.float32), 1.0)


def noise_frames(count: int, seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [
        Frame.from_rgb(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), index=i, time_s=i / 30)
        for i in range(count)
    ]


def by_hand(rgb: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sums, used, total = [], [], []
    for label in range(1, len(NAMES) + 1):
        pixels = rgb[labels == label].astype(np.float32)
        valid = (valid_reference_mask if label in REFERENCES else valid_mask)(pixels[None])[0]
        sums.append(pixels[valid].sum(axis=0, dtype=np.float64))
        used.append(valid.sum())
        total.append(len(pixels))
    return np.array(sums), np.array(used), np.array(total)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 12), st.integers(0, 9), st.integers(0, 2**31))
def test_sums_over_a_stack_are_those_of_each_picture(n, h, w, seed):
    rng = np.random.default_rng(seed)
    rgb = rng.uniform(-10, 265, (n, h, w, 3)).astype(np.float32)
    labels = rng.integers(0, len(NAMES) + 1, (n, h, w)).astype(np.uint8)
    found = sum_regions(rgb, labels)
    for i in range(n):
        sums, used, total = by_hand(rgb[i], labels[i])
        assert found.used[i].tolist() == used.tolist()
        assert found.total[i].tolist() == total.tolist()
        np.testing.assert_allclose(found.sums[i], sums, rtol=1e-6, atol=1e-4)


def test_frames_together_measure_as_each_by_itself():
    frames = noise_frames(9)
    before, after = Keyframe(0.0, face()), Keyframe(8 / 30, face(9, -4, 160, 0.1))
    path = FacePath.between(before, after, np.array([frame.time_s for frame in frames]))
    found = measure_face(frames, path.anchors, ())
    background = NAMES.index("background")
    for i, frame in enumerate(frames):
        landmarks = interpolate(before, after, frame.time_s)
        box = face_box(landmarks.points, 320, 240)
        labels = label_map(landmarks.points, (240, 320), 0, 0, 1.0)
        labels[labels == background + 1] = 0
        assert box.x0 >= 0
        sums, used, total = by_hand(frame.rgb(), labels)
        # Points are rounded to 1/16 pixel, and float32 landmarks fall on either side.
        assert abs(found.total[i] - total).max() <= 12
        enough = total > 50
        np.testing.assert_allclose(
            found.sums[i][enough] / found.used[i][enough, None],
            sums[enough] / used[enough, None],
            atol=6.0,
        )


def test_the_path_is_that_of_the_landmarks():
    before, after = Keyframe(1.0, face()), Keyframe(1.5, face(30, 10, 170, 0.2))
    times = np.array([1.0, 1.1, 1.37, 1.5])
    path = FacePath.between(before, after, times)
    for i, time_s in enumerate(times):
        landmarks = interpolate(before, after, time_s)
        np.testing.assert_allclose(path.anchors[i], anchors(landmarks.points), atol=1e-3)
        np.testing.assert_allclose(path.centers[i], landmarks.points.mean(axis=0), atol=1e-3)
        assert path.sizes[i] == pytest.approx(landmarks.interocular, abs=1e-3)


def test_a_path_can_be_moved_frame_by_frame():
    path = FacePath.between(Keyframe(0, face()), Keyframe(1, face(9)), np.array([0.2, 0.7]))
    by = np.array([[1.0, -2.0], [0.5, 3.0]])
    moved = path.moved(by)
    np.testing.assert_allclose(
        moved.anchors - path.anchors, np.broadcast_to(by[:, None], path.anchors.shape)
    )
    np.testing.assert_allclose(moved.centers - path.centers, by, atol=1e-4)
    assert np.array_equal(moved.sizes, path.sizes)


@pytest.mark.parametrize(("off", "far"), [(0.0, False), (0.04, False), (0.06, True)])
def test_what_strays_far_needs_another_look(off, far):
    after = Keyframe(0.5, face())
    way_off = np.array([[0.0, 0.0], [0.0, off * face().interocular]])
    assert strays_far(way_off, after) == far
    assert not strays_far(way_off, Keyframe(0.5, None))


def test_one_keyframe_is_a_path_too_and_none_is_an_error():
    only = Keyframe(2.0, face())
    path = FacePath.between(only, only, np.array([2.0]))
    np.testing.assert_allclose(path.anchors[0], anchors(face().points), atol=1e-3)
    with pytest.raises(ValueError, match="need a face"):
        FacePath.between(only, Keyframe(2.5, None), np.array([2.2]))


def test_the_stack_does_not_depend_on_how_many_are_converted_at_once(monkeypatch):
    frames = noise_frames(7)
    path = FacePath.between(
        Keyframe(0, face()), Keyframe(1, face(5)), np.array([f.time_s for f in frames])
    )
    boxes = ()
    whole = measure_face(frames, path.anchors, boxes)
    monkeypatch.setattr("pallor.video.measure._STACK_PIXELS", 1)
    single = measure_face(frames, path.anchors, boxes)
    assert np.array_equal(whole.used, single.used)
    np.testing.assert_allclose(whole.sums, single.sums, rtol=1e-12)


def test_a_stack_holds_the_frames_in_their_order():
    frames = noise_frames(3)
    stack = reduced_stack(frames, (10, 20, 50, 60))
    for i, frame in enumerate(frames):
        assert np.array_equal(stack.rgb[i], frame.reduced((10, 20, 50, 60)).rgb)
    assert reduced_stack(frames, (400, 0, 500, 10)).rgb.shape == (3, 0, 0, 3)


# ------------------------------------------------------------------------------ when to look


def moved(by: float) -> Landmarks:
    return face(by * face().interocular)


@given(st.floats(0, 3), st.floats(0.03, 2))
def test_the_faster_the_sooner_within_limits(by, step_s):
    interval = next_interval_s(
        Keyframe(0, moved(0)), Keyframe(step_s, moved(by)), KEYFRAME_INTERVAL_S
    )
    assert MIN_KEYFRAME_INTERVAL_S <= interval <= KEYFRAME_INTERVAL_S
    speed = by / step_s
    if MIN_KEYFRAME_INTERVAL_S < interval < KEYFRAME_INTERVAL_S:
        assert interval * speed == pytest.approx(MAX_MOVE / 2, rel=1e-3)


def test_still_or_absent_faces_are_looked_for_twice_a_second():
    still = next_interval_s(Keyframe(0, face()), Keyframe(0.5, face()), KEYFRAME_INTERVAL_S)
    absent = next_interval_s(Keyframe(0, face()), Keyframe(0.5, None), KEYFRAME_INTERVAL_S)
    first = next_interval_s(Keyframe(0, face()), Keyframe(0, face()), KEYFRAME_INTERVAL_S)
    assert still == absent == first == KEYFRAME_INTERVAL_S == 0.5


@pytest.mark.parametrize(
    ("before", "after", "far"),
    [
        (moved(0), moved(0.05), False),
        (moved(0), moved(0.2), True),
        (None, moved(0), True),
        (moved(0), None, True),
        (None, None, False),
    ],
)
def test_where_another_look_between_is_needed(before, after, far):
    assert is_far(Keyframe(0, before), Keyframe(0.5, after)) == far
    assert not is_far(Keyframe(0, before), Keyframe(0.1, after))


def test_the_way_is_in_interocular_distances():
    assert way(moved(0), moved(0.3)) == pytest.approx(0.3, rel=1e-4)
