from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallor.video.regions import REGIONS, label_map, valid_mask, valid_reference_mask
from reference.astronaut import REFERENCE

NAMES = list(REGIONS)
ON_THE_FACE = NAMES[:-1]
FACE = np.array(
    json.loads(REFERENCE.read_text(encoding="utf-8"))["landmarks"]["doubled"], np.float32
)
"""A real face (public domain) of about 190 x 210 pixels, as landmarks only."""

SHAPE = (1024, 1024)


def labels_of(points, shape=SHAPE, x0=0.0, y0=0.0, scale=1.0):
    return label_map(np.asarray(points, np.float32), shape, x0, y0, scale)


def mask(labels, name):
    return labels == NAMES.index(name) + 1


def corners(points, polygon):
    return np.array([points[i] * (1 - w) + points[j] * w for i, j, w in polygon], np.float64)


def shoelace(polygon):
    x, y = polygon.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def inside(polygon, x, y):
    return cv2.pointPolygonTest(polygon.astype(np.float32), (float(x), float(y)), False) > 0


def similarity(points, degrees, scale, shift):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (points - points.mean(0)) @ np.array([[c, s], [-s, c]]) * scale + shift


def turned(points, yaw_degrees):
    """Turn the head aside: a face on a cylinder, orthographic."""
    middle, half = points[:, 0].mean(), np.ptp(points[:, 0]) / 2 * 1.05
    x = np.clip((points[:, 0] - middle) / half, -1, 1)
    angle = np.arcsin(x) + np.radians(yaw_degrees)
    return np.column_stack([middle + half * np.sin(angle), points[:, 1]])


def test_the_order_of_the_regions_is_fixed():
    assert NAMES == [
        "forehead",
        "left_cheek",
        "right_cheek",
        "nose",
        "chin",
        "lips",
        "lower_lids",
        "sclera",
        "background",
    ]


@pytest.mark.parametrize("name", ON_THE_FACE)
def test_every_region_is_there_on_a_frontal_face(name):
    assert mask(labels_of(FACE), name).sum() >= (20 if name == "sclera" else 100)


@pytest.mark.parametrize("name", [n for n in ON_THE_FACE if n != "sclera"])
def test_a_region_covers_its_polygons_to_a_pixel(name):
    # Independent of OpenCV's filling: areas by the shoelace formula, and the drawn outline
    # adds at most about half a pixel all around.
    big = FACE * 4
    area = perimeter = 0.0
    for polygon in REGIONS[name].polygons:
        drawn = corners(big, polygon)
        area += shoelace(drawn)
        perimeter += np.hypot(*(drawn - np.roll(drawn, 1, axis=0)).T).sum()
    count = mask(labels_of(big, (4096, 4096)), name).sum()
    assert abs(count - area) <= 0.75 * perimeter


def test_regions_lie_where_their_names_say():
    labels = labels_of(FACE)
    center = {n: np.argwhere(mask(labels, n)).mean(0)[::-1] for n in ON_THE_FACE}
    eyes, mouth, chin = FACE[[468, 473]].mean(0), FACE[[61, 291]].mean(0), FACE[152]
    assert center["forehead"][1] < FACE[[105, 334], 1].min()
    assert center["left_cheek"][0] > center["nose"][0] > center["right_cheek"][0]
    assert eyes[1] < center["lower_lids"][1] < center["left_cheek"][1] < mouth[1]
    assert mouth[1] < center["chin"][1] < chin[1]
    assert abs(center["sclera"][1] - eyes[1]) < 0.1 * np.hypot(*(FACE[473] - FACE[468]))


def test_lips_leave_out_the_mouth_opening():
    opening = FACE[[78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]]
    opening = np.vstack([opening, FACE[[324, 318, 402, 317, 14, 87, 178, 88, 95]]])
    drawn = np.zeros(SHAPE, np.uint8)
    cv2.fillPoly(drawn, [np.rint(opening - 0.5).astype(np.int32)], 1)
    inner = cv2.erode(drawn, np.ones((5, 5), np.uint8)) > 0
    assert inner.sum() > 100  # she smiles
    assert not (mask(labels_of(FACE), "lips") & inner).any()


def test_the_sclera_leaves_out_iris_and_lids():
    rows, columns = np.nonzero(mask(labels_of(FACE), "sclera"))
    for center, rim in ((468, [469, 470, 471, 472]), (473, [474, 475, 476, 477])):
        radius = np.hypot(*(FACE[rim] - FACE[center]).T).mean()
        away = np.hypot(columns + 0.5 - FACE[center, 0], rows + 0.5 - FACE[center, 1])
        assert away.min() > radius
    eyes = [
        FACE[[33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]],
        FACE[[362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382]],
    ]
    assert all(
        any(inside(eye, x + 0.5, y + 0.5) for eye in eyes)
        for x, y in zip(columns, rows, strict=True)
    )


def test_a_closed_eye_has_no_sclera():
    points = FACE.copy()
    pairs = [(246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154)]
    pairs += [(466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381)]
    for upper, lower in pairs:
        points[upper] = points[lower] = (points[upper] + points[lower]) / 2
    assert mask(labels_of(points), "sclera").sum() == 0


def test_background_is_away_from_the_head_and_above_the_chin():
    rows, columns = np.nonzero(mask(labels_of(FACE), "background"))
    assert len(rows) > 1000
    assert rows.max() < FACE[152, 1]
    hull = cv2.convexHull(FACE)
    distances = [
        -cv2.pointPolygonTest(hull, (float(x), float(y)), True)
        for x, y in zip(columns[::97], rows[::97], strict=True)
    ]
    assert min(distances) > 0.15 * np.ptp(FACE[:, 0])


@settings(max_examples=60, deadline=None)
@given(st.floats(-60, 60), st.floats(0.7, 3), st.tuples(st.floats(350, 650), st.floats(350, 650)))
def test_polygons_are_simple_and_right_way_round_under_similarities(degrees, scale, shift):
    points = similarity(FACE, degrees, scale, shift)
    for name in ON_THE_FACE:
        for polygon in REGIONS[name].polygons:
            drawn = corners(points, polygon)
            assert shoelace(drawn) > 0
            assert not _crosses_itself(drawn)


def _crosses_itself(polygon):
    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    n = len(polygon)
    edges = [(polygon[i], polygon[(i + 1) % n]) for i in range(n)]
    for i in range(n):
        for j in range(i + 2, n - (i == 0)):
            (a, b), (c, d) = edges[i], edges[j]
            if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                return True
    return False


@settings(max_examples=40, deadline=None)
@given(st.integers(-40, 40), st.integers(-40, 40))
def test_labels_move_with_the_points(dx, dy):
    there = labels_of(FACE + np.array([dx, dy]))
    inner = np.s_[100:-100, 100:-100]
    back = np.roll(there, (-dy, -dx), axis=(0, 1))
    on_face = [NAMES.index(n) + 1 for n in ON_THE_FACE]
    here = labels_of(FACE)
    for label in on_face:
        assert np.array_equal(here[inner] == label, back[inner] == label)


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_a_part_at_another_scale_is_the_same_as_scaled_points(scale):
    x0, y0 = 300.0, 60.0
    part = labels_of(FACE, (200, 240), x0, y0, scale)
    assert np.array_equal(part, labels_of((FACE - [x0, y0]) / scale, (200, 240)))


def test_turning_the_head_upside_down_turns_the_labels():
    points = FACE.astype(np.float64)
    labels = labels_of(points)
    turned_labels = labels_of(1024 - points)[::-1, ::-1]
    for name in ON_THE_FACE:
        a, b = mask(labels, name), mask(turned_labels, name)
        assert (a & b).sum() >= (0.6 if name == "sclera" else 0.9) * max(a.sum(), b.sum()), name


@pytest.mark.parametrize("yaw", [-40, -20, 20, 40])
def test_a_turned_head_loses_its_far_side_only(yaw):
    labels = labels_of(turned(FACE, yaw))
    near, far = ("right_cheek", "left_cheek") if yaw > 0 else ("left_cheek", "right_cheek")
    assert mask(labels, near).sum() > mask(labels, far).sum()
    for name in ("forehead", near, "nose", "chin", "lips"):
        assert mask(labels, name).sum() > 50, name


def test_regions_seen_from_behind_are_left_out():
    mirrored = FACE * [-1, 1] + [1024, 0]
    labels = labels_of(mirrored)
    assert not any(mask(labels, name).any() for name in ON_THE_FACE)


def test_regions_do_not_overlap():
    # Each drawn alone, no pixel inside of two polygons (outlines may touch).
    seen = np.zeros((4096, 4096), np.int32)
    for name in ON_THE_FACE:
        for polygon in REGIONS[name].polygons:
            drawn = np.zeros(seen.shape, np.uint8)
            cv2.fillPoly(drawn, [np.rint(corners(FACE * 4, polygon)).astype(np.int32)], 1)
            seen += cv2.erode(drawn, np.ones((5, 5), np.uint8))
    assert seen.max() == 1


def test_a_face_outside_of_the_part_leaves_no_region_in_it():
    labels = labels_of(FACE + 5000)
    assert not any(mask(labels, name).any() for name in ON_THE_FACE)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_points_that_are_no_numbers_give_no_region(bad):
    points = FACE.copy()
    points[7] = bad
    assert not labels_of(points).any()


def test_another_number_of_points_is_an_error():
    with pytest.raises(ValueError, match="468"):
        labels_of(FACE[:468])


def test_a_label_map_is_fast_enough_to_be_made_for_every_frame():
    points = FACE * (300 / np.ptp(FACE[:, 1]))
    x0, y0 = points.min(0)
    best = np.inf
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(10):
            label_map(points, (150, 120), float(x0), float(y0), 2.0)
        best = min(best, (time.perf_counter() - start) / 10)
    assert best < 1e-3  # 0.2 ms where it was written; slow machines are allowed five times that


# -------------------------------------------------------------------------------- valid pixels


@pytest.mark.parametrize(
    ("pixel", "skin", "reference"),
    [
        ((180, 130, 110), True, True),
        ((221, 230, 225), False, True),  # mirrors the lamp, but may be white of the eye
        ((220, 240, 240), True, True),
        ((250, 100, 100), False, False),
        ((249.9, 100, 100), True, True),
        ((255, 255, 255), False, False),
        ((19, 19, 19), False, False),
        ((20.1, 20.1, 20.1), True, True),
        ((0, 0, 175), False, False),  # bright blue is dark: luma 19.95
        ((np.nan, 100, 100), False, False),
        ((100, np.nan, 100), False, False),
        ((100, 100, np.nan), False, False),
        ((np.inf, 100, 100), False, False),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_valid_pixels(pixel, skin, reference, kind):
    rgb = np.array([[pixel]], kind)
    assert valid_mask(rgb).tolist() == [[skin]]
    assert valid_reference_mask(rgb).tolist() == [[reference]]


def test_valid_pixels_are_the_same_for_integers():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(valid_mask(rgb), valid_mask(rgb.astype(np.float32)))
    assert np.array_equal(valid_reference_mask(rgb), valid_reference_mask(rgb.astype(np.float32)))
    assert valid_mask(rgb).shape == (40, 50)
    assert 0 < valid_mask(rgb).mean() < 1


def test_what_is_valid_skin_is_a_valid_reference():
    rgb = np.random.default_rng(1).uniform(0, 260, (1000, 3)).astype(np.float32)
    assert not (valid_mask(rgb) & ~valid_reference_mask(rgb)).any()


def test_no_pixels_are_no_error():
    assert valid_mask(np.zeros((0, 3), np.float32)).shape == (0,)
