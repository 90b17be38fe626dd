from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.errors import FaceModelError
from pallor.video.face import FaceBox, FaceLandmarker, Landmarks
from pallor.video.tracking import (
    KEYFRAME_INTERVAL_S,
    MAX_TRACK_GAP_S,
    RECHECK_INTERVAL_S,
    FaceTracker,
    Keyframe,
    interpolate,
)

PICTURE = np.zeros((480, 640, 3), np.uint8)
SHAPE = np.random.default_rng(0).uniform(0, 1, (478, 2)).astype(np.float32)
SHAPE[:2] = [[0, 0], [1, 1]]
times = st.floats(0, 100, allow_nan=False)


def face_at(x: float, y: float, size: float = 100, score: float = 1.0) -> Landmarks:
    return Landmarks((SHAPE * size + [x, y]).astype(np.float32), score)


class Scene:
    """Persons as the networks would see them: name -> landmarks."""

    def __init__(self, **persons: Landmarks) -> None:
        self.persons = persons
        self.detections = 0

    def detect(self, _rgb):
        self.detections += 1
        return [
            FaceBox(*f.box, score=0.9, keypoints=np.tile(f.points.mean(0), (6, 1)))
            for f in self.persons.values()
        ]

    def candidates(self, rgb):
        return self.detect(rgb)

    def landmarks(self, _rgb, hint):
        center = (
            np.mean([[hint.x0, hint.y0], [hint.x1, hint.y1]], axis=0)
            if isinstance(hint, FaceBox)
            else np.mean(np.reshape(hint.box, (2, 2)), axis=0)
        )
        for face in self.persons.values():
            x0, y0, x1, y1 = face.box
            if x0 <= center[0] <= x1 and y0 <= center[1] <= y1:
                return face
        return None


# ------------------------------------------------------------------------------ interpolation


@given(times, st.floats(0.01, 2), st.floats(0, 1))
def test_points_move_on_straight_lines_at_constant_speed(start, step, share):
    first, second = face_at(10, 20, 100, 0.9), face_at(60, 0, 150, 0.8)
    before, after = Keyframe(start, first), Keyframe(start + step, second)
    moment = min(start + share * step, after.time_s)
    weight = (moment - before.time_s) / (after.time_s - before.time_s)
    found = interpolate(before, after, moment)
    assert found is not None
    expected = (1 - weight) * first.points.astype(float) + weight * second.points.astype(float)
    assert np.allclose(found.points, expected, atol=1e-3)
    assert found.points.dtype == np.float32


def test_keyframes_themselves_are_given_back_exactly():
    before, after = Keyframe(1.0, face_at(0, 0)), Keyframe(1.4, face_at(9, 9))
    assert interpolate(before, after, 1.0) is before.landmarks
    assert interpolate(before, after, 1.4) is after.landmarks
    assert interpolate(before, before, 1.0) is before.landmarks


@pytest.mark.parametrize("found_first", [True, False])
def test_between_found_and_lost_there_is_no_face(found_first):
    found, lost = face_at(0, 0), None
    before = Keyframe(0.0, found if found_first else lost)
    after = Keyframe(0.4, lost if found_first else found)
    assert interpolate(before, after, 0.1) is None
    assert interpolate(before, after, 0.399) is None
    assert (interpolate(before, after, 0.0) is found) == found_first
    assert (interpolate(before, after, 0.4) is found) != found_first


@pytest.mark.parametrize("moment", [-0.1, 0.5, float("nan")])
def test_a_time_outside_is_an_error(moment):
    with pytest.raises(ValueError, match="outside"):
        interpolate(Keyframe(0.0, None), Keyframe(0.4, None), moment)


# ----------------------------------------------------------------------------------- tracking


def test_the_largest_face_is_taken():
    scene = Scene(small=face_at(10, 10, 80), large=face_at(300, 100, 150))
    tracker = FaceTracker(scene)
    assert tracker.locate(PICTURE, 0.0) is scene.persons["large"]
    assert tracker.max_faces == 2


def test_a_larger_face_that_comes_later_is_noted_but_not_jumped_to():
    scene = Scene(first=face_at(10, 10, 80))
    tracker = FaceTracker(scene)
    tracker.locate(PICTURE, 0.0)
    scene.persons["second"] = face_at(300, 100, 250)
    for t in np.arange(0.4, 6, KEYFRAME_INTERVAL_S):
        assert tracker.locate(PICTURE, t) is scene.persons["first"]
    assert tracker.max_faces == 2
    assert tracker.larger_face_seen


def test_another_person_does_not_take_the_place_of_a_lost_one():
    scene = Scene(first=face_at(10, 10, 150), second=face_at(400, 100, 100))
    tracker = FaceTracker(scene)
    tracker.locate(PICTURE, 0.0)
    first = scene.persons.pop("first")
    assert tracker.locate(PICTURE, 0.4) is None
    assert tracker.locate(PICTURE, 5.0) is None
    scene.persons["first"] = first
    assert tracker.locate(PICTURE, 5.4) is first


def test_a_single_person_may_come_back_elsewhere():
    scene = Scene(only=face_at(10, 10))
    tracker = FaceTracker(scene)
    tracker.locate(PICTURE, 0.0)
    scene.persons.clear()
    assert tracker.locate(PICTURE, 0.4) is None
    scene.persons["only"] = face_at(400, 200)
    assert tracker.locate(PICTURE, 0.8) is scene.persons["only"]
    assert tracker.max_faces == 1


def test_the_detector_runs_once_in_two_seconds_while_a_face_is_tracked():
    scene = Scene(only=face_at(10, 10))
    tracker = FaceTracker(scene)
    for t in np.arange(0, 10, KEYFRAME_INTERVAL_S):
        tracker.locate(PICTURE, t)
    assert scene.detections == 1 + int(9.6 / RECHECK_INTERVAL_S)


def test_old_landmarks_are_no_hint():
    scene = Scene(only=face_at(10, 10))
    tracker = FaceTracker(scene)
    tracker.locate(PICTURE, 0.0)
    tracker.locate(PICTURE, MAX_TRACK_GAP_S + 0.01)
    assert scene.detections == 2


@pytest.mark.parametrize("score", [0.5, 0.6, 0.89])
def test_a_doubtful_new_face_is_not_believed_but_a_known_one_is_followed(score):
    doubtful = FaceTracker(Scene(thing=face_at(10, 10, score=score)))
    assert doubtful.locate(PICTURE, 0.0) is None
    assert doubtful.max_faces == 0
    scene = Scene(person=face_at(10, 10, score=0.99))
    tracker = FaceTracker(scene)
    tracker.locate(PICTURE, 0.0)
    scene.persons["person"] = face_at(12, 10, score=score)
    assert tracker.locate(PICTURE, 0.4) is scene.persons["person"]


def test_a_sudden_change_of_size_is_a_slip_and_starts_a_new_search():
    scene = Scene(person=face_at(100, 100, 100))
    tracker = FaceTracker(scene)
    tracker.locate(PICTURE, 0.0)
    scene.persons["person"] = face_at(60, 60, 200)
    assert tracker.locate(PICTURE, 0.4) is scene.persons["person"]
    assert scene.detections == 2


def test_no_face_is_none_and_counts_none():
    tracker = FaceTracker(Scene())
    assert tracker.locate(PICTURE, 0.0) is None
    assert tracker.max_faces == 0


# --------------------------------------------------------------------------------- real clips


def keyframes(path, landmarker, step_s=KEYFRAME_INTERVAL_S):
    import av

    tracker, found, due = FaceTracker(landmarker), [], 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time >= due:
                due = frame.time + step_s
                rgb = frame.to_ndarray(format="rgb24")
                found.append((frame.time, tracker.locate(rgb, frame.time)))
    return tracker, found


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    try:
        return FaceLandmarker()
    except FaceModelError as error:
        if "not installed" not in error.text:
            raise
        pytest.skip(error.text)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("step_s", "looks"), [(0.15, 24), pytest.param(0.0, 95, marks=pytest.mark.slow)]
)
def test_a_clip_without_a_face_has_none_in_any_frame(shared, landmarker, step_s, looks):
    tracker, found = keyframes(shared / "edge_clips/no_face.mp4", landmarker, step_s)
    assert len(found) == looks
    assert all(landmarks is None for _, landmarks in found)
    assert tracker.max_faces == 0


@pytest.mark.shared
def test_a_face_is_lost_where_it_ends(shared, landmarker):
    tracker, found = keyframes(shared / "edge_clips/face_noface.mov", landmarker, step_s=0.1)
    assert all((landmarks is not None) == (t < 2.35) for t, landmarks in found)
    assert tracker.max_faces == 1


@pytest.mark.shared
@pytest.mark.parametrize(
    "clip",
    [
        pytest.param("face_clips/sample_video_1.mp4", marks=pytest.mark.slow),
        "edge_clips/single_face.mp4",
    ],
)
def test_one_face_is_followed_throughout_without_steps(shared, landmarker, clip):
    tracker, found = keyframes(shared / clip, landmarker)
    assert all(landmarks is not None for _, landmarks in found)
    assert tracker.max_faces == 1
    noses = np.array([landmarks.points[1] for _, landmarks in found])
    steps = np.hypot(*np.diff(noses, axis=0).T) / found[0][1].interocular
    assert steps.max() < 0.5
